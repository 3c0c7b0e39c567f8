//! What is known about one peer: its newest start, its sessions in both directions, what it said last.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Lane, Liveness, Peer, PeerStatus,
    frame::Beat,
    hello::Refusal,
    session::Session,
    table::{Doomed, Limits, Look, Wish},
};
use crate::identity::ClusterId;

pub(super) type Lanes = BTreeMap<Lane, Arc<Session>>;

pub(super) struct Entry {
    pub(super) peer: Arc<Peer>,
    /// Where we reach it; empty when only it reached us.
    pub(super) address: String,
    pub(super) dialed: Lanes,
    pub(super) accepted: Lanes,
    pub(super) store_healthy: bool,
    /// Whether it gets answers on the control lane that it dialed to us, as it said itself.
    pub(super) hears_us: bool,
    /// Since when it has no session at all.
    pub(super) unreachable_since_ms: u64,
}

impl Entry {
    pub(super) fn new(peer: &Arc<Peer>) -> Self {
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

    pub(super) fn lanes(&self, is_dialer: bool) -> &Lanes {
        if is_dialer { &self.dialed } else { &self.accepted }
    }

    fn lanes_mut(&mut self, is_dialer: bool) -> &mut Lanes {
        if is_dialer { &mut self.dialed } else { &mut self.accepted }
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.dialed.is_empty() && self.accepted.is_empty()
    }

    pub(super) fn admit(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
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
    pub(super) fn insert(&mut self, session: &Arc<Session>) -> Doomed {
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

    pub(super) fn remove(&mut self, session: &Arc<Session>, now_ms: u64) -> Doomed {
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

    pub(super) fn take_all(&mut self, now_ms: u64) -> Doomed {
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

    pub(super) fn note(&mut self, beat: Beat) {
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
    pub(super) fn hears(&self, now_ms: u64, suspect_ms: u64) -> bool {
        is_heard(self.dialed.get(&Lane::Control), now_ms, suspect_ms)
    }

    /// It is alive if both nodes get answers from each other on the connections that they dialed themselves.
    pub(super) fn status(&self, now_ms: u64, limits: &Limits) -> PeerStatus {
        let asks = is_heard(self.accepted.get(&Lane::Control), now_ms, limits.suspect_ms);
        let is_alive = asks && self.hears_us && self.hears(now_ms, limits.suspect_ms);
        PeerStatus {
            peer: Arc::clone(&self.peer),
            liveness: if is_alive { Liveness::Alive } else { Liveness::Suspect },
            store_healthy: self.store_healthy,
            address: self.address.clone(),
        }
    }

    pub(super) fn look(&mut self, limits: &Limits, now_ms: u64, look: &mut Look) {
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
