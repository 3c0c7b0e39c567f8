//! All peers and their sessions, and what follows when one opens, ends, or says something.
//!
//! * The newest incarnation of a Raft id wins; sessions of older ones are closed.
//! * A second connection of the same peer, incarnation and lane replaces the first.
//! * A lane lives no longer than the control lane of its direction.
//!
//! Sessions are closed by whoever calls, from what is returned here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::environment::watch;
use parking_lot::{Mutex, RwLock};

use super::{Config, Lane, PeerStatus, entry::Entry, frame::Beat, hello::Refusal, session::Session};
use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

pub(super) type Peers = Arc<BTreeMap<RaftId, PeerStatus>>;
/// What is to be closed.
pub(super) type Doomed = Vec<Arc<Session>>;

pub(super) struct Table {
    inner: RwLock<Inner>,
    peers: watch::Sender<Peers>,
    /// Who tells the world looks at `inner` under this, so that nothing older is told after something newer. `inner` is not
    /// locked while the world is told: whoever looks at the peers may call us meanwhile.
    telling: Mutex<()>,
    limits: Limits,
}

pub(super) struct Limits {
    pub(super) sessions_max: usize,
    pub(super) peers_max: usize,
    pub(super) suspect_ms: u64,
    pub(super) close_ms: u64,
    pub(super) stall_ms: u64,
    pub(super) forget_ms: u64,
}

struct Inner {
    entries: BTreeMap<RaftId, Entry>,
    cluster_id: Option<ClusterId>,
    store_healthy: bool,
    is_stopped: bool,
}

/// What came of a new session.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pub(super) doomed: Doomed,
    /// The peer was never seen, or is a new start.
    pub(super) is_new: bool,
}

/// What a look at all peers found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) silent: Doomed,
    pub(super) stalled: Doomed,
    /// To be asked whether they are there.
    pub(super) ask: Vec<Arc<Session>>,
}

impl Table {
    pub(super) fn new(config: &Config, cluster_id: Option<ClusterId>) -> Self {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let limits = Limits {
            sessions_max: config.sessions_max,
            peers_max: config.peers_max,
            suspect_ms: ms(config.suspect_after),
            close_ms: ms(config.close_after),
            stall_ms: ms(config.stall_timeout),
            forget_ms: ms(config.forget_after),
        };
        let inner = Inner { entries: BTreeMap::new(), cluster_id, store_healthy: true, is_stopped: false };
        Self { inner: RwLock::new(inner), peers: watch::Sender::default(), telling: Mutex::default(), limits }
    }

    pub(super) fn peers(&self) -> watch::Receiver<Peers> {
        self.peers.subscribe()
    }

    pub(super) fn cluster_id(&self) -> Option<ClusterId> {
        self.inner.read().cluster_id
    }

    /// Our session to `to`, if it is open.
    pub(super) fn dialed(&self, to: RaftId, lane: Lane) -> Option<Arc<Session>> {
        let inner = self.inner.read();
        inner.entries.get(&to)?.dialed.get(&lane).filter(|session| session.is_open()).cloned()
    }

    /// Whether a session as described may be opened. Nothing changes.
    pub(super) fn admit(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
        self.inner.read().admit(wish, &self.limits)
    }

    /// Puts an opened session in its place.
    pub(super) fn register(&self, session: &Arc<Session>, address: &str) -> Result<Registered, Refusal> {
        let wish = Wish {
            raft_id: session.peer().raft_id,
            incarnation: session.peer().incarnation,
            cluster_id: session.peer().cluster_id,
            lane: session.lane(),
            is_dialer: session.is_dialer(),
            address,
        };
        let mut inner = self.inner.write();
        inner.admit(&wish, &self.limits)?;
        let registered = inner.insert(session, address);
        drop(inner);
        self.publish_all(session.pulse.opened_ms);
        Ok(registered)
    }

    /// Takes a session that ended out; returns the lanes that end with it.
    pub(super) fn unregister(&self, session: &Arc<Session>, now_ms: u64) -> Doomed {
        let mut inner = self.inner.write();
        let raft_id = session.peer().raft_id;
        let Some(entry) = inner.entries.get_mut(&raft_id) else { return Vec::new() };
        let doomed = entry.remove(session, now_ms);
        drop(inner);
        self.publish(raft_id, now_ms);
        doomed
    }

    /// What this node says about itself to that peer.
    pub(super) fn beat(&self, to: RaftId, now_ms: u64) -> Beat {
        let inner = self.inner.read();
        let hears = inner.entries.get(&to).is_some_and(|entry| entry.hears(now_ms, self.limits.suspect_ms));
        Beat { hears, store_healthy: inner.store_healthy, cluster_id: inner.cluster_id }
    }

    /// What a peer said about itself. Returns what is to be closed, if it belongs to another cluster.
    pub(super) fn heard(&self, session: &Arc<Session>, beat: Beat, now_ms: u64) -> (Doomed, Option<Refusal>) {
        let mut inner = self.inner.write();
        let refusal = other_cluster(inner.cluster_id, beat.cluster_id);
        let raft_id = session.peer().raft_id;
        let Some(entry) = inner.entries.get_mut(&raft_id) else { return Default::default() };
        if entry.peer.incarnation != session.peer().incarnation {
            return Default::default();
        }
        entry.note(beat);
        let doomed = if refusal.is_some() { entry.take_all(now_ms) } else { Vec::new() };
        drop(inner);
        self.publish(raft_id, now_ms);
        (doomed, refusal)
    }

    /// This node joined a cluster. Returns the sessions of members of others.
    pub(super) fn set_cluster_id(&self, cluster_id: ClusterId, now_ms: u64) -> Doomed {
        let mut inner = self.inner.write();
        inner.cluster_id = Some(cluster_id);
        let is_foreign = |entry: &Entry| entry.peer.cluster_id.is_some_and(|theirs| theirs != cluster_id);
        let foreign = inner.entries.values_mut().filter(|entry| is_foreign(entry));
        let doomed = foreign.flat_map(|entry| entry.take_all(now_ms)).collect();
        drop(inner);
        self.publish_all(now_ms);
        doomed
    }

    pub(super) fn set_store_healthy(&self, store_healthy: bool) {
        self.inner.write().store_healthy = store_healthy;
    }

    /// No session opens any more. Returns those that are open.
    pub(super) fn stop(&self, now_ms: u64) -> Doomed {
        let mut inner = self.inner.write();
        inner.is_stopped = true;
        let doomed = inner.entries.values_mut().flat_map(|entry| entry.take_all(now_ms)).collect();
        drop(inner);
        self.publish_all(now_ms);
        doomed
    }

    /// All control lanes that we dialed.
    pub(super) fn dialed_control(&self) -> Vec<Arc<Session>> {
        let inner = self.inner.read();
        inner.entries.values().filter_map(|entry| entry.dialed.get(&Lane::Control)).cloned().collect()
    }

    /// Looks at all peers: who is silent, who must be asked, who can be forgotten.
    pub(super) fn look(&self, discovered: &BTreeSet<String>, now_ms: u64) -> Look {
        let mut inner = self.inner.write();
        let mut look = Look::default();
        for entry in inner.entries.values_mut() {
            entry.look(&self.limits, now_ms, &mut look);
        }
        inner.entries.retain(|_, entry| {
            !entry.is_unreachable()
                || discovered.contains(&entry.address)
                || now_ms.saturating_sub(entry.unreachable_since_ms) < self.limits.forget_ms
        });
        drop(inner);
        self.publish_all(now_ms);
        look
    }

    /// Tells the world, if anything changed.
    fn publish_all(&self, now_ms: u64) {
        let _telling = self.telling.lock();
        let now = self.inner.read().statuses(now_ms, &self.limits);
        self.peers.send_if_modified(|peers| {
            let is_changed = **peers != now;
            if is_changed {
                *peers = Arc::new(now);
            }
            is_changed
        });
    }

    /// Tells the world, if anything changed for one peer: beats are many, changes are few.
    fn publish(&self, raft_id: RaftId, now_ms: u64) {
        let _telling = self.telling.lock();
        let now = self.inner.read().entries.get(&raft_id).map(|entry| entry.status(now_ms, &self.limits));
        let Some(now) = now else { return };
        self.peers.send_if_modified(|peers| {
            let is_changed = peers.get(&raft_id) != Some(&now);
            if is_changed {
                Arc::make_mut(peers).insert(raft_id, now);
            }
            is_changed
        });
    }
}

/// A session that somebody wants to open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) raft_id: RaftId,
    pub(super) incarnation: Incarnation,
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) lane: Lane,
    pub(super) is_dialer: bool,
    /// Where it was dialed; empty when it was accepted.
    pub(super) address: &'a str,
}

/// Two nodes that belong to clusters must belong to the same.
fn other_cluster(here: Option<ClusterId>, there: Option<ClusterId>) -> Option<Refusal> {
    let (here, there) = here.zip(there)?;
    (here != there).then_some(Refusal::OtherCluster { here, there })
}

impl Inner {
    fn statuses(&self, now_ms: u64, limits: &Limits) -> BTreeMap<RaftId, PeerStatus> {
        self.entries.iter().map(|(id, entry)| (*id, entry.status(now_ms, limits))).collect()
    }

    fn admit(&self, wish: &Wish<'_>, limits: &Limits) -> Result<(), Refusal> {
        if self.is_stopped {
            return Err(Refusal::Stopping);
        }
        if let Some(refusal) = other_cluster(self.cluster_id, wish.cluster_id) {
            return Err(refusal);
        }
        match self.entries.get(&wish.raft_id) {
            Some(entry) => entry.admit(wish)?,
            None if wish.lane != Lane::Control => return Err(Refusal::NoControlLane),
            None if self.entries.len() >= limits.peers_max => return Err(Refusal::Full),
            None => {}
        }
        let count: usize = self.entries.values().map(|entry| entry.lanes(wish.is_dialer).len()).sum();
        if count >= limits.sessions_max { Err(Refusal::Full) } else { Ok(()) }
    }

    fn insert(&mut self, session: &Arc<Session>, address: &str) -> Registered {
        let peer = session.peer();
        let mut registered = Registered::default();
        let entry = self.entries.entry(peer.raft_id).or_insert_with(|| {
            registered.is_new = true;
            Entry::new(peer)
        });
        if entry.peer.incarnation < peer.incarnation {
            registered.is_new = true;
            registered.doomed = entry.take_all(session.pulse.opened_ms);
            *entry = Entry { address: std::mem::take(&mut entry.address), ..Entry::new(peer) };
        }
        registered.doomed.extend(entry.insert(session));
        if session.is_dialer() && session.lane() == Lane::Control {
            address.clone_into(&mut entry.address);
            self.leave_address(peer.raft_id, address);
        }
        registered
    }

    /// Whoever was at `address` before is there no more.
    fn leave_address(&mut self, now_there: RaftId, address: &str) {
        self.entries.retain(|id, entry| {
            let is_replaced = *id != now_there && entry.address == address;
            if is_replaced {
                entry.address.clear();
            }
            !(is_replaced && entry.is_unreachable())
        });
    }
}
