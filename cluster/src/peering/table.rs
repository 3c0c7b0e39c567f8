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

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{Config, Lane, Liveness, Peer, PeerStatus, frame::Beat, hello::Refusal, session::Session};
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

struct Limits {
    sessions_max: usize,
    peers_max: usize,
    suspect_ms: u64,
    close_ms: u64,
    stall_ms: u64,
    forget_ms: u64,
}

struct Inner {
    entries: BTreeMap<RaftId, Entry>,
    cluster_id: Option<ClusterId>,
    store_healthy: bool,
    is_stopped: bool,
}

type Lanes = BTreeMap<Lane, Arc<Session>>;

struct Entry {
    peer: Arc<Peer>,
    /// Where we reach it; empty when only it reached us.
    address: String,
    dialed: Lanes,
    accepted: Lanes,
    store_healthy: bool,
    /// Whether it gets answers on the control lane that it dialed to us, as it said itself.
    hears_us: bool,
    /// Since when it has no session at all.
    unreachable_since_ms: u64,
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

impl Entry {
    fn new(peer: &Arc<Peer>) -> Self {
        Self {
            peer: Arc::clone(peer),
            address: String::new(),
            dialed: Lanes::new(),
            accepted: Lanes::new(),
            store_healthy: true,
            hears_us: false,
            unreachable_since_ms: 0,
        }
    }

    fn lanes(&self, is_dialer: bool) -> &Lanes {
        if is_dialer { &self.dialed } else { &self.accepted }
    }

    fn lanes_mut(&mut self, is_dialer: bool) -> &mut Lanes {
        if is_dialer { &mut self.dialed } else { &mut self.accepted }
    }

    fn is_unreachable(&self) -> bool {
        self.dialed.is_empty() && self.accepted.is_empty()
    }

    fn admit(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
        let newest = self.peer.incarnation;
        if wish.incarnation < newest {
            return Err(Refusal::OldIncarnation { newest });
        }
        let control = self.lanes(wish.is_dialer).get(&Lane::Control);
        let control = control.filter(|session| session.is_open() && wish.incarnation == newest);
        match (wish.lane, control) {
            (Lane::Control, Some(_)) if wish.is_dialer && self.address != wish.address => {
                Err(Refusal::AlreadyConnected)
            }
            (Lane::Control, _) | (_, Some(_)) => Ok(()),
            (_, None) => Err(Refusal::NoControlLane),
        }
    }

    /// Returns whom it replaces: the same lane, and with a control lane all lanes of its direction.
    fn insert(&mut self, session: &Arc<Session>) -> Doomed {
        self.note_cluster_id(session.peer().cluster_id);
        let lanes = self.lanes_mut(session.is_dialer());
        let replaced = if session.lane() == Lane::Control {
            std::mem::take(lanes).into_values().collect()
        } else {
            lanes.remove(&session.lane()).into_iter().collect()
        };
        lanes.insert(session.lane(), Arc::clone(session));
        replaced
    }

    fn remove(&mut self, session: &Arc<Session>, now_ms: u64) -> Doomed {
        let lanes = self.lanes_mut(session.is_dialer());
        if lanes.get(&session.lane()).is_none_or(|there| there.id() != session.id()) {
            return Vec::new(); // It was replaced.
        }
        lanes.remove(&session.lane());
        let is_control = session.lane() == Lane::Control;
        let doomed = if is_control { std::mem::take(lanes).into_values().collect() } else { Vec::new() };
        self.note_unreachable(now_ms);
        doomed
    }

    fn take_all(&mut self, now_ms: u64) -> Doomed {
        let was_reachable = !self.is_unreachable();
        let lanes = [std::mem::take(&mut self.dialed), std::mem::take(&mut self.accepted)];
        if was_reachable {
            self.note_unreachable(now_ms);
        }
        lanes.into_iter().flat_map(BTreeMap::into_values).collect()
    }

    fn note_unreachable(&mut self, now_ms: u64) {
        if self.is_unreachable() {
            self.unreachable_since_ms = now_ms;
            self.hears_us = false;
        }
    }

    fn note(&mut self, beat: Beat) {
        self.store_healthy = beat.store_healthy;
        self.hears_us = beat.hears;
        self.note_cluster_id(beat.cluster_id);
    }

    fn note_cluster_id(&mut self, cluster_id: Option<ClusterId>) {
        if cluster_id.is_some() && self.peer.cluster_id != cluster_id {
            self.peer = Arc::new(Peer { cluster_id, ..Peer::clone(&self.peer) });
        }
    }

    /// Whether we get answers on the control lane that we dialed to it.
    fn hears(&self, now_ms: u64, suspect_ms: u64) -> bool {
        is_heard(self.dialed.get(&Lane::Control), now_ms, suspect_ms)
    }

    /// It is alive if both nodes get answers from each other on the connections that they dialed themselves.
    fn status(&self, now_ms: u64, limits: &Limits) -> PeerStatus {
        let asks = is_heard(self.accepted.get(&Lane::Control), now_ms, limits.suspect_ms);
        let is_alive = asks && self.hears_us && self.hears(now_ms, limits.suspect_ms);
        PeerStatus {
            peer: Arc::clone(&self.peer),
            liveness: if is_alive { Liveness::Alive } else { Liveness::Suspect },
            store_healthy: self.store_healthy,
            address: self.address.clone(),
        }
    }

    fn look(&mut self, limits: &Limits, now_ms: u64, look: &mut Look) {
        if [&self.dialed, &self.accepted].iter().any(|lanes| is_silent(lanes, now_ms, limits.close_ms)) {
            look.silent.extend(self.take_all(now_ms));
            return;
        }
        for session in self.dialed.values() {
            if session.lane() != Lane::Control && session.pulse.is_stalled(now_ms, limits.stall_ms) {
                look.stalled.push(Arc::clone(session));
            } else if session.lane() == Lane::Control || !session.pulse.is_asked() {
                look.ask.push(Arc::clone(session));
            }
        }
    }
}

fn is_heard(control: Option<&Arc<Session>>, now_ms: u64, suspect_ms: u64) -> bool {
    let silent_ms = control.filter(|session| session.is_open()).and_then(|open| open.pulse.silent_ms(now_ms));
    silent_ms.is_some_and(|silent_ms| silent_ms < suspect_ms)
}

fn is_silent(lanes: &Lanes, now_ms: u64, close_ms: u64) -> bool {
    let Some(control) = lanes.get(&Lane::Control) else { return false };
    let opened_since = now_ms.saturating_sub(control.pulse.opened_ms);
    control.pulse.silent_ms(now_ms).unwrap_or(opened_since) >= close_ms
}
