//! One end of a connection, as a node holds it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    clock::Shared,
    connection::{End, State},
    packet::{Body, EndId},
    world::World,
};
use crate::environment::Connection;

pub(super) struct Stream {
    shared: Arc<Shared>,
    id: EndId,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, id: EndId) -> Self {
        Self { shared, id }
    }

    /// Waits until the other host answered.
    pub(super) fn poll_opened(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|world| world.poll_opened(self.id, context))
    }
}

impl Connection for Stream {}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.with(|world| world.poll_read(self.id, context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.with(|world| world.poll_write(self.id, context, bytes))
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|world| world.poll_shutdown(self.id, context))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.with(|world| world.release(self.id));
    }
}

impl World {
    /// The end, and whether its host is frozen.
    fn held(&mut self, id: EndId) -> (&mut End, bool) {
        let connection = self.connections.get_mut(&id.connection).expect("a held end is not forgotten");
        let is_frozen = self.hosts.get(connection.host(id.side)).is_some_and(|host| host.is_frozen);
        (connection.end(id.side), is_frozen)
    }

    fn poll_opened(&mut self, id: EndId, context: &Context<'_>) -> Poll<io::Result<()>> {
        let (end, is_frozen) = self.held(id);
        match end.state {
            State::Broken(kind) if !is_frozen => Poll::Ready(Err(kind.into())),
            State::Open if !is_frozen => Poll::Ready(Ok(())),
            _ => {
                end.wait_to_read(context);
                Poll::Pending
            }
        }
    }

    fn poll_read(
        &mut self,
        id: EndId,
        context: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (end, is_frozen) = self.held(id);
        let Some(read) = (if is_frozen { None } else { end.read(buffer) }) else {
            end.wait_to_read(context);
            return Poll::Pending;
        };
        let read = read?;
        if read > 0 {
            self.send(id.peer(), Body::Credit(read));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, id: EndId, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (end, is_frozen) = self.held(id);
        let Some(room) = (if is_frozen { None } else { end.room() }) else {
            end.wait_to_write(context);
            return Poll::Pending;
        };
        let taken = room?.min(bytes.len());
        end.has_sent(taken);
        self.send_segments(id.peer(), &bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn send_segments(&mut self, to: EndId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let connection = self.connections.get(&to.connection).expect("a held end is not forgotten");
            let (from, host) = (connection.host(to.peer().side).clone(), connection.host(to.side).clone());
            let length = self.link(&from, &host).draw_segment(bytes.len());
            let (segment, rest) = bytes.split_at(length);
            self.send(to, Body::Data(Bytes::copy_from_slice(segment)));
            bytes = rest;
        }
    }

    fn poll_shutdown(&mut self, id: EndId, context: &Context<'_>) -> Poll<io::Result<()>> {
        let (end, is_frozen) = self.held(id);
        if is_frozen {
            end.wait_to_write(context);
            return Poll::Pending;
        }
        if let State::Broken(_) = end.state {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if !std::mem::replace(&mut end.finish_sent, true) {
            self.send(id.peer(), Body::Finish);
        }
        Poll::Ready(Ok(()))
    }
}
