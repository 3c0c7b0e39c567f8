//! Where connections to a host arrive.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_util::future::BoxFuture;

use super::{
    super::network::{Connection, Listener},
    clock::Shared,
    packet::{Body, EndId, Side},
    stream::Stream,
    world::World,
};

/// What the dialer's port looks like in a log.
const DIALER_PORT_FIRST: u64 = 32_768;
const DIALER_PORTS: u64 = 16_384;

#[derive(Debug)]
pub(super) struct ListenerState {
    /// Tells it from another one that listened there before.
    id: u64,
    pub(super) queue: VecDeque<u64>,
    pub(super) waker: Option<Waker>,
}

impl ListenerState {
    pub(super) fn new(id: u64) -> Self {
        Self { id, queue: VecDeque::new(), waker: None }
    }
}

pub(super) struct SimulatedListener {
    shared: Arc<Shared>,
    host: Arc<str>,
    port: u16,
    id: u64,
}

impl SimulatedListener {
    pub(super) fn new(shared: Arc<Shared>, host: Arc<str>, port: u16, id: u64) -> Self {
        Self { shared, host, port, id }
    }

    fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<(Box<dyn Connection>, String)>> {
        let polled = self.shared.with(|world| world.poll_accept(self, context));
        polled.map_ok(|(acceptor, from)| {
            (Box::new(Stream::new(self.shared.clone(), acceptor)) as Box<dyn Connection>, from)
        })
    }
}

impl Listener for SimulatedListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, String)>> {
        Box::pin(poll_fn(|context| self.poll_accept(context)))
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        self.shared.with(|world| world.close_listener(self));
    }
}

impl World {
    fn poll_accept(
        &mut self,
        listener: &SimulatedListener,
        context: &Context<'_>,
    ) -> Poll<io::Result<(EndId, String)>> {
        let host = self.host(&listener.host);
        let is_frozen = host.is_frozen;
        let listener = host.listeners.get_mut(&listener.port).filter(|state| state.id == listener.id);
        let Some(state) = listener else {
            return Poll::Ready(Err(ErrorKind::NetworkDown.into()));
        };
        match if is_frozen { None } else { state.queue.pop_front() } {
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(connection) => {
                let dialer = self.connections.get(&connection).map(|it| it.host(Side::Dialer).clone());
                let dialer = dialer.expect("what waits to be accepted is held");
                let port = DIALER_PORT_FIRST + connection % DIALER_PORTS;
                Poll::Ready(Ok((EndId { connection, side: Side::Acceptor }, format!("{dialer}:{port}"))))
            }
        }
    }

    fn close_listener(&mut self, listener: &SimulatedListener) {
        let listeners = &mut self.host(&listener.host).listeners;
        if listeners.get(&listener.port).is_some_and(|state| state.id == listener.id) {
            let state = listeners.remove(&listener.port);
            for connection in state.into_iter().flat_map(|state| state.queue) {
                let acceptor = EndId { connection, side: Side::Acceptor };
                self.break_end(acceptor, ErrorKind::ConnectionAborted);
                self.send(acceptor.peer(), Body::Reset);
                self.release(acceptor);
            }
        }
    }
}
