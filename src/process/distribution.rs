//! Processes of different nodes: references that travel, and what one can do with them elsewhere.
//!
//! Comes in: sessions of [`Lane::Mail`] with what peers push on them ([`ShardFrames`]). Leaves:
//!
//! * a [`Process`] that came from another node, and with it calls, casts, monitors and links to there;
//! * [`Groups`], as in OTP's `pg`;
//! * processes that were started on another node: [`Distribution::spawn_on`].
//!
//! # How it works
//!
//! * **Ids are wide**: a process is named by its node, the start of that node ([`Home`]) and a number. What was sent to an earlier start
//!   never reaches a later one.
//! * **References travel inside of messages.** A [`Process`] or a [`Reply`](super::Reply) in a message becomes an id or a number on the
//!   way, and a reference again on the other side; it may be passed on to a third node. Messages that travel are [`Portable`].
//! * **One connection, one truth.** All that is said between two starts of two nodes goes over one lane, in order. When that ends,
//!   because the peer is silent, was closed or has a newer incarnation, everything that depends on it ends at once and once:
//!   calls, monitors and links with `noconnection`.
//! * **A mailbox is bounded where it is.** A message that finds no room at its process is refused there: a call fails with
//!   `Full`, a cast is counted. What waits to be sent to a node is bounded, too.
//!
//! Nothing of it is process-wide, so that several nodes may run in one operating system process. `ractor_cluster` is not
//! involved: `docs/decisions/0015-wide-ids-and-a-lane-for-mail.md` says why.

mod answer;
mod config;
mod connection;
mod exports;
pub(super) mod far;
mod frame;
mod groups;
mod line;
mod mirror;
mod spawn;
pub(super) mod travel;
mod watched;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use playhouse_cluster::{
    consensus::RaftId,
    environment::{Environment, watch},
    peering::{Lane, Session, ShardFrames},
};
use ractor::Actor;
use serde::{Serialize, de::DeserializeOwned};

pub use config::Config;
pub use groups::{Change, GroupError, GroupMonitor, Groups};
pub use spawn::SpawnOnError;

use self::{
    connection::Connection, exports::Exports, frame::Refusal, groups::Table, spawn::Spawners, wire::Wire,
};
use super::{
    CallError, ExitReason, Home, Mailbox, Names, Process, ProcessCounts, ProcessId, link,
    link::Peer,
    table::{self, ProcessTable},
};

/// Messages that can be sent to a process of another node.
///
/// They travel in a binary format that does not describe itself: use plain (externally tagged) enums and structs. All nodes must
/// understand the same name in the same way; a process that takes messages of another name refuses them.
///
/// ```
/// use playhouse::process::{Portable, Process, Reply};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Command {
///     Add(u64),
///     Get(Reply<u64>),
///     Tell(Process<Command>),
/// }
///
/// impl ractor::Message for Command {}
///
/// impl Portable for Command {
///     const NAME: &'static str = "counter.1";
/// }
/// ```
pub trait Portable: Serialize + DeserializeOwned + Send + 'static {
    /// Names the messages, and their version, in the whole cluster.
    const NAME: &'static str;
}

/// What stands for a name in frames.
fn name_of<M: Portable>() -> u64 {
    xxhash_rust::xxh3::xxh3_64(M::NAME.as_bytes())
}

/// The processes of this node as others see them, and those of others. A cheap handle.
///
/// Give it to [`Peering::start`](playhouse_cluster::peering::Peering::start) as (part of) its [`ShardFrames`], with
/// `peering::Config::mail`.
#[derive(Clone)]
pub struct Distribution {
    shared: Arc<Shared>,
}

pub(in crate::process) struct Shared {
    home: Home,
    environment: Environment,
    config: Config,
    connections: RwLock<Connections>,
    peers: watch::Sender<Peers>,
    exports: Exports,
    groups: Table,
    spawners: Spawners,
    undelivered: [AtomicU64; Refusal::ALL.len()],
    names: Names,
    table: Arc<ProcessTable>,
}

type Peers = Arc<BTreeMap<RaftId, Home>>;

#[derive(Default)]
struct Connections {
    /// The one that is in use, for each node.
    open: BTreeMap<RaftId, Arc<Connection>>,
    /// By session.
    sessions: BTreeMap<u64, Arc<Connection>>,
}

impl Distribution {
    /// For this start of this node.
    #[must_use]
    pub fn new(home: Home, config: Config, environment: Environment) -> Self {
        let shared = Shared {
            home,
            environment,
            connections: RwLock::default(),
            peers: watch::Sender::default(),
            exports: Exports::new(config.exported_max),
            groups: Table::new(),
            spawners: Spawners::new(config.spawns_max),
            undelivered: std::array::from_fn(|_| AtomicU64::new(0)),
            names: Names::new(),
            table: ProcessTable::new(),
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// This start of this node.
    #[must_use]
    pub fn home(&self) -> Home {
        self.shared.home
    }

    /// The nodes whose processes can be reached, as OTP's `nodes()`. The current value is always there.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Arc<BTreeMap<RaftId, Home>>> {
        self.shared.peers.subscribe()
    }

    /// What a process is called in the whole cluster, for ever: this can be kept. It can be reached by that from now on.
    ///
    /// For a process of this node it is not equal to [`Process::id`], which is what this start of this node calls it.
    ///
    /// # Errors
    ///
    /// When other nodes know as many processes of this node as they may.
    pub fn id_of<M: Portable>(&self, process: &Process<M>) -> Result<ProcessId, GroupError> {
        self.shared.id_of(process)
    }

    /// The process of this name in the cluster. Whether it lives is not asked; if it takes other messages, they will be refused.
    #[must_use]
    pub fn process<M: Portable>(&self, id: ProcessId) -> Process<M> {
        self.shared.process(id)
    }

    /// The groups of processes.
    #[must_use]
    pub fn groups(&self) -> Groups {
        Groups::new(&self.shared)
    }

    /// Lets other nodes start processes of this kind here. The same name again replaces what was there.
    pub fn spawnable<T, A, F>(&self, kind: &str, mailbox: Mailbox<A::Msg>, make: F)
    where
        T: DeserializeOwned + Send + 'static,
        A: Actor,
        A::Msg: Portable,
        F: Fn(T) -> (A, A::Arguments) + Send + Sync + 'static,
    {
        self.shared.spawners.insert(kind, mailbox, make);
    }

    /// Starts a process of a kind that is [`spawnable`](Self::spawnable) on that node, this one included. It has no parent.
    ///
    /// # Errors
    ///
    /// [`SpawnOnError`]. After `Timeout` and `NoConnection` the process may run.
    pub async fn spawn_on<T: Serialize, M: Portable>(
        &self,
        node: RaftId,
        kind: &str,
        arguments: &T,
        timeout: Duration,
    ) -> Result<Process<M>, SpawnOnError> {
        let spawned = spawn::spawn_on(&self.shared, node, kind, arguments);
        let spawned = tokio::time::timeout(timeout, spawned).await;
        spawned.unwrap_or(Err(SpawnOnError::Timeout)).map(|id| self.process(id))
    }

    /// As [`spawn_on`](Self::spawn_on), on a node chosen by lot: one that is connected, or this one.
    ///
    /// # Errors
    ///
    /// As [`spawn_on`](Self::spawn_on).
    pub async fn spawn_anywhere<T: Serialize, M: Portable>(
        &self,
        kind: &str,
        arguments: &T,
        timeout: Duration,
    ) -> Result<Process<M>, SpawnOnError> {
        let peers = self.shared.peers.borrow().clone();
        let nodes: Vec<_> = peers.keys().copied().chain([self.home().node]).collect();
        let lot = self.shared.environment.random_u64() % nodes.len() as u64;
        let node = nodes[usize::try_from(lot).unwrap_or(0)];
        self.spawn_on(node, kind, arguments, timeout).await
    }

    /// Whether a process has not ended, asked at its own node.
    ///
    /// # Errors
    ///
    /// [`CallError::NoConnection`], [`CallError::Timeout`], and [`CallError::Full`] with too many calls to that node: that is not
    /// known.
    pub async fn is_alive(&self, id: ProcessId, timeout: Duration) -> Result<bool, CallError> {
        let asked = tokio::time::timeout(timeout, self.shared.ask_alive(id)).await;
        asked.unwrap_or(Err(CallError::Timeout))
    }

    /// How many messages from other nodes found no process, no room, or a process that takes other messages.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.undelivered_by_reason().map(|(_, count)| count).sum()
    }

    /// As [`undelivered`](Self::undelivered), apart: `no_process`, `full`, `too_large`, `not_portable`.
    pub fn undelivered_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.shared.undelivered.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.iter().map(|why| why.name()).zip(counts)
    }

    /// The names of processes of this node.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.shared.names
    }

    /// Processes and supervisors that are started in this future belong to this node, and so does what they start in their handlers:
    /// `playhouse processes` and the metrics of the node show them. Other tasks that it spawns are not part of it.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        table::scope(Some(Arc::clone(&self.shared.table)), future)
    }

    /// The processes that [belong](Self::scope) to this node, in numbers. Looks into each mailbox once, and gives way to others meanwhile.
    pub async fn counts(&self) -> ProcessCounts {
        self.shared.table.counts().await
    }

    pub(super) fn table(&self) -> &Arc<ProcessTable> {
        &self.shared.table
    }

    /// Ends all connections; each process of another node is then unreachable.
    pub fn stop(&self) {
        self.shared.close_all();
    }

    /// As this node calls it.
    pub(super) fn called_here(&self, id: ProcessId) -> ProcessId {
        self.shared.without_home(id)
    }

    /// What stands for the name of messages.
    pub(super) fn name_of<M: Portable>(&self) -> u64 {
        name_of::<M>()
    }

    fn open(&self, session: u64, home: Home, name: &str, wire: Box<dyn Wire>) {
        self.shared.open(session, home, name, wire);
    }

    fn hear(&self, session: u64, frames: &mut dyn Iterator<Item = &[u8]>) {
        let connection = self.shared.connections.read().sessions.get(&session).cloned();
        let Some(connection) = connection else { return };
        for frame in frames {
            // What people wrote to make, weigh and drop their messages runs in there, in a task of the link.
            let heard = catch_unwind(AssertUnwindSafe(|| connection.hear(frame)));
            let error = match heard {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => ExitReason::of_panic(panic.as_ref()).to_string(),
            };
            tracing::error!(peer = connection.name(), error, "what a peer sent could not be taken");
            self.shared.over(&connection, "a frame could not be taken");
            return;
        }
    }

    fn close(&self, session: u64, reason: &str) {
        self.shared.close(session, reason);
    }
}

impl Shared {
    /// There is a connection to a start of a node. An earlier one to that node ends first.
    fn open(self: &Arc<Self>, session: u64, home: Home, name: &str, wire: Box<dyn Wire>) {
        let connection = Connection::open(self, session, home, name, wire);
        let mut connections = self.connections.write();
        connections.sessions.insert(session, Arc::clone(&connection));
        let earlier = connections.open.get(&home.node).cloned();
        if earlier.as_ref().is_some_and(|earlier| earlier.home() > home) {
            drop(connections);
            connection.close("a newer start of that node is connected");
            return;
        }
        connections.open.insert(home.node, Arc::clone(&connection));
        drop(connections);
        if let Some(earlier) = earlier {
            self.over(&earlier, "a newer connection replaced it");
        }
        self.groups.peer_up(&connection);
        if !connection.is_open() {
            // Whoever ended it meanwhile may have looked before.
            self.groups.peer_down(&connection);
        }
        self.publish();
        tracing::info!(peer = name, %home, "mail goes to a peer and comes from it");
    }

    fn close(self: &Arc<Self>, session: u64, reason: &str) {
        let mut connections = self.connections.write();
        let Some(connection) = connections.sessions.remove(&session) else { return };
        let node = connection.home().node;
        if connections.open.get(&node).is_some_and(|open| Arc::ptr_eq(open, &connection)) {
            connections.open.remove(&node);
        }
        drop(connections);
        self.over(&connection, reason);
        self.publish();
    }

    fn over(self: &Arc<Self>, connection: &Arc<Connection>, reason: &str) {
        // Nothing that the peer sent on it comes after the news of its end.
        connection.stop_hearing();
        let was_open = connection.close(reason);
        self.groups.peer_down(connection);
        if was_open {
            tracing::info!(peer = connection.name(), home = %connection.home(), reason, "no mail goes to a peer any more");
        }
    }

    fn close_all(self: &Arc<Self>) {
        const REASON: &str = "this node stops";
        let sessions = self.connections.read().sessions.clone();
        // Whoever stops the node may do so in a message of one of them: nobody waits for the others.
        for connection in sessions.values() {
            connection.close(REASON);
        }
        sessions.into_keys().for_each(|session| self.close(session, REASON));
    }

    fn publish(&self) {
        // The lock is held, so that nothing older is told after something newer.
        let connections = self.connections.read();
        let homes = connections.open.iter().map(|(node, connection)| (*node, connection.home()));
        self.peers.send_replace(Arc::new(homes.collect()));
    }

    /// The way to a process of another node. `NoProc`: it is known to be gone.
    fn connection(&self, id: ProcessId) -> Result<Arc<Connection>, ExitReason> {
        let home = id.home().ok_or(ExitReason::NoProc)?;
        if home.node == self.home.node {
            // One of this start would have been found; whether one of a later start lives is not known to this one.
            let is_later = home.incarnation > self.home.incarnation;
            return Err(if is_later { ExitReason::NoConnection } else { ExitReason::NoProc });
        }
        let connections = self.connections.read();
        let connection = connections.open.get(&home.node).ok_or(ExitReason::NoConnection)?;
        match connection.home().cmp(&home) {
            std::cmp::Ordering::Equal => Ok(Arc::clone(connection)),
            std::cmp::Ordering::Greater => Err(ExitReason::NoProc),
            std::cmp::Ordering::Less => Err(ExitReason::NoConnection),
        }
    }

    /// The way to whichever start of a node is connected.
    fn connection_to(&self, node: RaftId) -> Option<Arc<Connection>> {
        self.connections.read().open.get(&node).cloned()
    }

    /// As other nodes call it.
    fn with_home(&self, id: ProcessId) -> ProcessId {
        ProcessId::there(id.home().unwrap_or(self.home), id.number())
    }

    /// As this node calls it.
    fn without_home(&self, id: ProcessId) -> ProcessId {
        if id.home() == Some(self.home) { ProcessId::here(id.number()) } else { id }
    }

    pub(super) fn process<M: Portable>(self: &Arc<Self>, id: ProcessId) -> Process<M> {
        Process::at(self, self.without_home(id))
    }

    pub(super) fn id_of<M: Portable>(
        self: &Arc<Self>,
        process: &Process<M>,
    ) -> Result<ProcessId, GroupError> {
        match process.here() {
            Some(inner) => self.exports.export(self, inner).map_err(|_| GroupError::TooMany),
            None => Ok(process.id()),
        }
    }

    fn count_undelivered(&self, why: Refusal) {
        self.undelivered[why as usize].fetch_add(1, Relaxed);
    }

    /// Links a process of this node with any.
    fn link(self: &Arc<Self>, one: &Arc<dyn Peer>, other: ProcessId) {
        let other = self.without_home(other);
        if other.home().is_none() {
            return match self.exports.peer(other.number()) {
                Some(other) => link::link(one, &other),
                None => one.exit_signal(other, &ExitReason::NoProc),
            };
        }
        match self.connection(other) {
            Ok(connection) => connection.link(one, other),
            Err(reason) => one.exit_signal(other, &reason),
        }
    }

    /// A process of this node that has ended was to be linked with another one, which hears `noproc`.
    fn link_with_nobody(&self, number: u64, other: ProcessId) {
        let other = self.without_home(other);
        if other.home().is_some() {
            if let Ok(connection) = self.connection(other) {
                // It asks for what it is linked with, and hears that there is no such process.
                connection.signal(&frame::Frame::Link { mine: number, yours: other.number() });
            }
        } else if let Some(other) = self.exports.peer(other.number()) {
            other.exit_signal(ProcessId::here(number), &ExitReason::NoProc);
        }
    }

    fn unlink(&self, one: &dyn Peer, other: ProcessId) {
        let other = self.without_home(other);
        if other.home().is_some() {
            if let Ok(connection) = self.connection(other) {
                connection.unlink(one, other);
            }
        } else if let Some(other) = self.exports.peer(other.number()) {
            link::unlink(one, &*other);
        }
    }

    async fn ask_alive(self: &Arc<Self>, id: ProcessId) -> Result<bool, CallError> {
        let id = self.without_home(id);
        if id.home().is_none() {
            return Ok(self.exports.peer(id.number()).is_some());
        }
        let connection = match self.connection(id) {
            Ok(connection) => connection,
            Err(ExitReason::NoProc) => return Ok(false),
            Err(reason) => return Err(far::cast_error(&reason).into()),
        };
        let (call, _awaited, answered) = connection.ask()?;
        connection.signal(&frame::Frame::IsAlive { call, yours: id.number() });
        answered.await.unwrap_or(Err(CallError::NoReply))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for connection in std::mem::take(&mut self.connections.get_mut().sessions).into_values() {
            connection.close("this node stops");
        }
    }
}

impl ShardFrames for Distribution {
    fn opened(&self, session: &Arc<Session>) {
        if session.lane() == Lane::Mail {
            let peer = session.peer();
            let home = Home { node: peer.raft_id, incarnation: peer.incarnation };
            self.open(session.id(), home, &peer.name, Box::new(Arc::clone(session)));
        }
    }

    fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>) {
        self.hear(session.id(), frames);
    }

    fn closed(&self, session: &Arc<Session>) {
        self.close(session.id(), "its lane closed");
    }
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers = self.shared.peers.borrow().clone();
        f.debug_struct("Distribution")
            .field("home", &self.home())
            .field("peers", &peers)
            .finish_non_exhaustive()
    }
}
