//! One host: what it listens at, and what waits at its door; and the handle of the node that runs there.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::poll_fn,
    io::{self, ErrorKind},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    super::network::{Connection, Listener, Network},
    clock::Shared,
    connection,
    listener::{ListenerState, SimulatedListener},
    packet::{Body, EndId, Packet, Side},
    stream::Stream,
    world::World,
};

/// Where ports begin that nobody asked for by number.
const CHOSEN_PORT_FIRST: u16 = 49_152;

#[derive(Debug, Default)]
pub(super) struct HostState {
    pub(super) is_frozen: bool,
    /// It crashed silently and did not come back.
    pub(super) is_dark: bool,
    /// How often it crashed; handles from before are worth nothing.
    pub(super) boot: u64,
    pub(super) listeners: BTreeMap<u16, ListenerState>,
    /// What arrived while the host took nothing. Bounded by the windows of the connections.
    pub(super) inbox: VecDeque<Packet>,
    /// What was sent by dropping or connecting while the host was frozen.
    pub(super) outbox: VecDeque<Packet>,
}

impl HostState {
    pub(super) fn takes_nothing(&self) -> bool {
        self.is_frozen || self.is_dark
    }

    fn chosen_port(&self) -> io::Result<u16> {
        let free = |port: &u16| !self.listeners.contains_key(port);
        (CHOSEN_PORT_FIRST..=u16::MAX).find(free).ok_or_else(|| ErrorKind::AddrNotAvailable.into())
    }
}

/// What the node at a host gets.
pub(super) struct Host {
    shared: Arc<Shared>,
    name: Arc<str>,
    boot: u64,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedHost").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>, name: &str) -> Self {
        let (name, boot) = shared.with(|world| (world.name(name), world.host(name).boot));
        Self { shared, name, boot }
    }
}

impl Network for Host {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let (shared, name, boot) = (self.shared.clone(), self.name.clone(), self.boot);
        let address = address.to_owned();
        Box::pin(async move {
            let dialer = shared.with(|world| world.connect(&name, boot, &address))?;
            let mut stream = Stream::new(shared, dialer);
            poll_fn(|context| stream.poll_opened(context)).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }

    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (shared, name, boot) = (self.shared.clone(), self.name.clone(), self.boot);
        let address = address.to_owned();
        Box::pin(async move {
            let (id, port) = shared.with(|world| world.listen(&name, boot, &address))?;
            Ok(Box::new(SimulatedListener::new(shared, name, port, id)) as Box<dyn Listener>)
        })
    }
}

impl World {
    fn connect(&mut self, from: &str, boot: u64, address: &str) -> io::Result<EndId> {
        let (host, port) = parse(address)?;
        self.start(from, boot)?;
        let to = if is_any(host) { Some(self.name(from)) } else { self.owner(host) };
        let to = to.ok_or(ErrorKind::ConnectionRefused)?;
        let id = self.next_number();
        let dialer = self.name(from);
        self.connections.insert(id, connection::Connection::new(dialer, to, Instant::now()));
        let dialer = EndId { connection: id, side: Side::Dialer };
        self.send(dialer.peer(), Body::Open(port));
        Ok(dialer)
    }

    fn listen(&mut self, name: &str, boot: u64, address: &str) -> io::Result<(u64, u16)> {
        let (host, port) = parse(address)?;
        self.start(name, boot)?;
        self.claim(name, host)?;
        let id = self.next_number();
        let state = self.host(name);
        let port = if port == 0 { state.chosen_port()? } else { port };
        if state.listeners.contains_key(&port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        state.listeners.insert(port, ListenerState::new(id));
        Ok((id, port))
    }

    /// A node of an earlier life of the host can do nothing; one of the present brings it back.
    fn start(&mut self, name: &str, boot: u64) -> io::Result<()> {
        if self.host(name).boot != boot {
            return Err(ErrorKind::NetworkDown.into());
        }
        self.light(name);
        Ok(())
    }

    /// Lets `name` answer to `host`, unless that is somebody else.
    fn claim(&mut self, name: &str, host: &str) -> io::Result<()> {
        if is_any(host) {
            return Ok(());
        }
        match self.owner(host) {
            Some(owner) if *owner != *name => Err(ErrorKind::AddrNotAvailable.into()),
            Some(_) => Ok(()),
            None => {
                let name = self.name(name);
                self.aliases.insert(host.to_owned(), name);
                Ok(())
            }
        }
    }

    /// Who answers to `host`.
    fn owner(&self, host: &str) -> Option<Arc<str>> {
        let known = self.hosts.get_key_value(host).map(|(name, _)| name);
        known.or(self.aliases.get(host)).cloned()
    }
}

fn parse(address: &str) -> io::Result<(&str, u16)> {
    let parts = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let parsed = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parsed.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, format!("{address:?} is not host:port")))
}

/// Names that every host has for itself.
fn is_any(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "[::]" | "127.0.0.1" | "[::1]" | "localhost")
}
