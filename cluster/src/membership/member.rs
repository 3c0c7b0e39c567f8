//! One node, as the cluster knows it.

use serde::{Deserialize, Serialize};

use crate::{consensus::RaftId, identity::Incarnation};

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberState {
    /// Known, not yet caught up since its start. Keeps the replicas that it has, gets neither new ones nor leaderships.
    Joining,
    /// Takes part in everything.
    Up,
    /// Gives its leaderships away, keeps its replicas: it is about to restart.
    Draining,
    /// Not heard for long, says the system group. Its replicas are replaced when that lasts.
    Down,
    /// Holds nothing any more and never comes back with this Raft id.
    Left,
}

/// What is to become of a member's replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Intent {
    /// They stay.
    #[default]
    Stay,
    /// The operator gave the member up while it is down: they are replaced now, not after the usual time. It stays a
    /// member and is welcome if it returns.
    Replace,
    /// They move off; then the member has left.
    Leave,
}

/// A node that was accepted, with what it said at its last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name; no other member has it.
    pub name: String,
    /// Its volume.
    pub raft_id: RaftId,
    /// Its last known start.
    pub incarnation: Incarnation,
    /// Where it runs. Empty: unknown.
    pub zone: String,
    /// Which track of a rollout it belongs to.
    pub track: String,
    /// Which program it runs.
    pub release: String,
    /// The link protocols that it speaks, lowest and highest.
    pub protocol: (u16, u16),
    /// What it does.
    pub state: MemberState,
    /// What is to become of its replicas.
    pub intent: Intent,
    /// When `state` began.
    pub since_ms: u64,
}

impl Member {
    /// Its voters are expected to answer.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, MemberState::Joining | MemberState::Up | MemberState::Draining)
    }

    /// It may be given new replicas, and may lead.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state == MemberState::Up && self.intent == Intent::Stay
    }

    /// It counts when the number of voters is derived from the number of members.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.state != MemberState::Left && self.intent != Intent::Leave
    }

    /// The set of nodes that its name belongs to, and its number in it: `playhouse-2` is the 2 of `playhouse`.
    #[must_use]
    pub fn ordinal(&self) -> Option<(&str, u32)> {
        let (set, number) = self.name.rsplit_once('-')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse().ok()).flatten().map(|number| (set, number))
    }

    /// Enters `state` at `now_ms`.
    pub(super) fn enter(&mut self, state: MemberState, now_ms: u64) {
        self.state = state;
        self.since_ms = now_ms;
    }
}

/// A Raft id that never comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The id.
    pub raft_id: RaftId,
    /// The name that it had.
    pub name: String,
    /// Its last known start.
    pub incarnation: Incarnation,
    /// The Raft id that has the name instead and is to get the replicas. None: it left.
    pub replaced_by: Option<RaftId>,
    /// When it became former.
    pub since_ms: u64,
}
