//! The lanes of processes that are open, and the session on each.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ractor::{ActorCell, ActorId};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Config, ProcessPeer,
    budget::{Charge, Waiting},
    fence::Fence,
    full_name,
    pipe::{self, FENCE, Pipe},
};
use crate::{
    consensus::RaftId,
    environment::{Environment, watch},
    peering::{Cookie, Peer, Session, notice::Notices},
};

type Peers = Arc<BTreeMap<RaftId, ProcessPeer>>;

/// See the module. The number of a lane is that of its session in the link, and the node id of its mirrors.
pub(super) struct Lanes {
    config: Config,
    entries: Mutex<BTreeMap<u64, Entry>>,
    peers: watch::Sender<Peers>,
    counts: Arc<Counts>,
    notices: Arc<Notices>,
    environment: Environment,
}

/// What went wrong, on all lanes since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Frames that were too large.
    pub(super) dropped: AtomicU64,
    /// Sessions that had too much to write, or could not write for too long.
    pub(super) overflows: AtomicU64,
}

struct Entry {
    session: Arc<Session>,
    pipe: Arc<Pipe>,
    way: Arc<Way>,
    /// The session of `ractor_cluster`, once it runs.
    actor: Option<ActorCell>,
    /// Both nodes have told each other of their processes.
    is_ready: bool,
}

/// What bounds the messages to one peer.
pub(super) struct Way {
    session: Arc<Session>,
    waiting: Waiting,
    calls: Arc<Semaphore>,
    fence: Fence,
    frame_bytes_max: usize,
    backlog_bytes_max: usize,
    counts: Arc<Counts>,
    notices: Arc<Notices>,
    opened: Instant,
    environment: Environment,
}

/// What a session on a lane is started with.
pub(super) struct Start {
    pub(super) peer: Arc<Peer>,
    /// Both ends know it.
    pub(super) secret: Cookie,
}

impl Lanes {
    pub(super) fn new(config: Config, environment: Environment) -> Self {
        let (entries, peers, counts) = (Mutex::default(), watch::Sender::default(), Arc::default());
        let notices = Arc::new(Notices::new(environment.clone()));
        Self { config, entries, peers, counts, notices, environment }
    }

    pub(super) fn peers(&self) -> watch::Receiver<Peers> {
        self.peers.subscribe()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A lane can be used.
    pub(super) fn opened(&self, session: &Arc<Session>) -> Arc<Pipe> {
        let way = Arc::new(Way {
            session: Arc::clone(session),
            waiting: Waiting::new(self.config.waiting_bytes_max),
            calls: Arc::new(Semaphore::new(self.config.calls())),
            fence: Fence::default(),
            frame_bytes_max: self.config.frame_bytes_max,
            backlog_bytes_max: self.config.backlog_bytes_max(),
            counts: Arc::clone(&self.counts),
            notices: Arc::clone(&self.notices),
            opened: self.environment.now(),
            environment: self.environment.clone(),
        });
        let pipe = Pipe::open(session, &way, self.config.window_bytes_max);
        let (session, opened) = (Arc::clone(session), Arc::clone(&pipe));
        self.entries.lock().insert(session.id(), Entry { session, pipe, way, actor: None, is_ready: false });
        opened
    }

    /// A peer pushed something.
    pub(super) fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>) {
        let pipe = self.entries.lock().get(&session.id()).map(|entry| Arc::clone(&entry.pipe));
        let Some(pipe) = pipe else { return };
        for frame in frames {
            if let Err(error) = pipe.hear(frame) {
                if pipe.way().is_news("garbage") {
                    tracing::error!(peer = session.peer().name, %error, "a peer sent what cannot be understood");
                }
                session.close(&error.to_string());
                return;
            }
        }
    }

    /// A lane ended: what its session mirrors is gone.
    pub(super) fn closed(&self, session: &Arc<Session>) {
        let Some(entry) = self.entries.lock().remove(&session.id()) else { return };
        self.publish();
        entry.pipe.close();
        if let Some(actor) = entry.actor {
            actor.stop(Some("its lane closed".to_owned()));
        }
        if entry.is_ready {
            tracing::info!(peer = session.peer().name, "processes of a peer are lost");
        }
    }

    pub(super) fn close_all(&self, reason: &str) {
        let sessions: Vec<_> = self.entries.lock().values().map(|entry| Arc::clone(&entry.session)).collect();
        sessions.iter().for_each(|session| session.close(reason));
    }

    /// What the session on lane `id` is started with; `None`: the lane closed meanwhile.
    pub(super) fn start(&self, id: u64) -> Option<Start> {
        let entries = self.entries.lock();
        let session = &entries.get(&id)?.session;
        let secret = session.secret.clone().expect("a lane of processes has one");
        Some(Start { peer: Arc::clone(session.peer()), secret })
    }

    /// The session on lane `id` runs.
    pub(super) fn started(&self, id: u64, actor: ActorCell) {
        match self.entries.lock().get_mut(&id) {
            Some(entry) => entry.actor = Some(actor),
            None => actor.stop(Some("its lane closed".to_owned())),
        }
    }

    /// The session on lane `id` could not be started.
    pub(super) fn not_started(&self, id: u64, reason: &str) {
        let session = self.entries.lock().get(&id).map(|entry| Arc::clone(&entry.session));
        session.into_iter().for_each(|session| session.close(reason));
    }

    /// A session says who its peer is. The link knows that already.
    pub(super) fn named(&self, actor: ActorId, name: &str) {
        let Some(way) = self.of_actor(actor, |entry| Arc::clone(&entry.way)) else { return };
        let peer = way.session.peer();
        let (node, host) = full_name(&peer.name, peer.raft_id, peer.incarnation);
        if name == format!("{node}@{host}") {
            return;
        }
        if way.is_news("named") {
            tracing::error!(
                peer = peer.name,
                name,
                "a peer says that its processes are those of another node"
            );
        }
        way.session.close("its processes are those of another node");
    }

    /// A session knows all processes of its peer, and the peer knows ours.
    pub(super) fn ready(&self, actor: ActorId) {
        let name = self.of_actor(actor, |entry| {
            entry.is_ready = true;
            entry.session.peer().name.clone()
        });
        if let Some(peer) = name {
            self.publish();
            tracing::info!(peer, "processes of a peer can be reached");
        }
    }

    /// A session ended by itself: its lane ends, too, and is dialed again.
    pub(super) fn ended(&self, actor: ActorId, reason: &str) {
        let Some(way) = self.of_actor(actor, |entry| Arc::clone(&entry.way)) else { return };
        // What closed the lane has been told.
        if way.is_open() && way.is_news("ended") {
            let peer = &way.session.peer().name;
            tracing::warn!(peer, reason, "the session of processes with a peer ended; it is begun again");
        }
        way.session.close(&format!("its session ended: {reason}"));
    }

    /// The way to the peer whose mirrors have that node id.
    pub(super) fn way(&self, node_id: u64) -> Option<Arc<Way>> {
        self.entries.lock().get(&node_id).map(|entry| Arc::clone(&entry.way))
    }

    pub(super) fn mirrors(&self, of: RaftId) -> Vec<ActorCell> {
        let entries = self.entries.lock();
        let newest = entries.values().rev().find(|entry| entry.session.peer().raft_id == of);
        let actor = newest.and_then(|entry| entry.actor.clone());
        drop(entries);
        let children = actor.map(|actor| actor.get_children()).unwrap_or_default();
        children.into_iter().filter(|child| !child.get_id().is_local()).collect()
    }

    fn of_actor<T>(&self, actor: ActorId, look: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.lock();
        let is_it = |entry: &&mut Entry| entry.actor.as_ref().is_some_and(|cell| cell.get_id() == actor);
        entries.values_mut().find(is_it).map(look)
    }

    /// Tells the world, if anything changed.
    fn publish(&self) {
        self.peers.send_if_modified(|peers| {
            let entries = self.entries.lock();
            let ready = entries.iter().filter(|(_, entry)| entry.is_ready);
            let now: BTreeMap<_, _> = ready.map(|(id, entry)| entry.shown(*id)).collect();
            let is_changed = **peers != now;
            if is_changed {
                *peers = Arc::new(now);
            }
            is_changed
        });
    }
}

impl Entry {
    fn shown(&self, node_id: u64) -> (RaftId, ProcessPeer) {
        let peer = self.session.peer();
        let shown = ProcessPeer { name: peer.name.clone(), incarnation: peer.incarnation, node_id };
        (peer.raft_id, shown)
    }
}

impl Way {
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    pub(super) fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Returns when the session has ended.
    pub(super) async fn closed(&self) {
        self.session.closed().await;
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn backlog_bytes_max(&self) -> usize {
        self.backlog_bytes_max
    }

    pub(super) fn calls(&self) -> &Arc<Semaphore> {
        &self.calls
    }

    pub(super) fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Returns when the peer has written what it was writing when this began.
    pub(super) async fn fenced(&self) {
        self.fence.passed(|number| pipe::push(&self.session, FENCE, &number.to_le_bytes())).await;
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// A message left.
    pub(super) fn released(&self, charge: Charge) {
        self.waiting.release(charge);
    }

    /// A frame was too large to be sent: an answer, or a message of somebody who did not use [`Remote`](super::Remote).
    pub(super) fn dropped(&self, bytes: u64) {
        self.counts.dropped.fetch_add(1, Relaxed);
        let bytes_max = self.frame_bytes_max;
        tracing::warn!(
            peer = self.session.peer().name,
            bytes,
            bytes_max,
            "a message of a process is too large; it is dropped"
        );
    }

    /// Whether that the session ends for this reason is worth a line: it is dialed again, and may end so for ever.
    pub(super) fn is_news(&self, why: &'static str) -> bool {
        let lived = self.environment.now() - self.opened;
        self.notices.broke(self.session.peer(), why, lived)
    }

    /// What the session has to say to its peer is too large, and without it the peer would know less than it believes.
    pub(super) fn excessive(&self, bytes: u64) {
        if self.is_news("excessive") {
            let peer = &self.session.peer().name;
            tracing::error!(
                peer,
                bytes,
                "there are too many remotable processes, or members of a group, to tell a peer"
            );
        }
        self.session.close("the list of remotable processes, or of the members of a group, is above 64 MiB");
    }

    /// The session has more to write than one that keeps the rules ever has: answers for a peer that is too slow, or messages
    /// of somebody who did not use [`Remote`](super::Remote). It ends before it takes the memory of the node.
    pub(super) fn overflowed(&self, bytes: usize) {
        self.counts.overflows.fetch_add(1, Relaxed);
        if self.is_news("overflowed") {
            let (peer, bytes_max) = (&self.session.peer().name, self.backlog_bytes_max);
            tracing::error!(
                peer,
                bytes,
                bytes_max,
                "too much waits for a peer; its session of processes is closed"
            );
        }
        self.session.close("too many answers and messages of processes wait to be sent");
    }

    /// The session has something to write, and for so long the peer granted nothing: what waits behind it has no bound.
    pub(super) fn starved(&self, waited: Duration) {
        self.counts.overflows.fetch_add(1, Relaxed);
        if self.is_news("starved") {
            let peer = &self.session.peer().name;
            tracing::error!(
                peer,
                ?waited,
                "a peer reads nothing of what processes send it; its session of processes is closed"
            );
        }
        self.session.close("the peer reads nothing of what processes send it");
    }
}
