//! What can be asked of the system group.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Reason, Which};
use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

/// What the volume of a node says about its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volume {
    /// It was never accepted by a cluster: no replica was ever on it.
    New,
    /// It belongs to this cluster.
    Of(ClusterId),
}

/// How a node introduces itself at each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its volume.
    pub raft_id: RaftId,
    /// This start.
    pub incarnation: Incarnation,
    /// The start before, as the volume said it **before this start wrote its own**; zero for the first. It is what
    /// gives a restored volume away: this start is always the newest.
    pub previous: Incarnation,
    /// What the volume says about its past.
    pub volume: Volume,
    /// The number of shards that it is configured for.
    pub shards: u32,
    /// Where it runs. Empty: unknown.
    pub zone: String,
    /// Which track of a rollout it belongs to.
    pub track: String,
    /// Which program it runs.
    pub release: String,
    /// The link protocols that it speaks, lowest and highest.
    pub protocol: (u16, u16),
}

/// Something to decide by [`ClusterState::decide`](super::ClusterState::decide).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A node introduces itself: it joins, or it restarted.
    Join {
        /// Who it is.
        node: Node,
        /// Whether a node with this name but **another** Raft id is being heard right now.
        other_is_heard: bool,
    },
    /// A member has caught up since its start, or is heard again. A node sends it whenever it sees itself joining or
    /// down and has caught up, and only once the cluster id is on its volume: others rely on that ([`ClusterState::has_adopted`](super::ClusterState::has_adopted)).
    Reached {
        /// Which member.
        raft_id: RaftId,
        /// The start that caught up.
        incarnation: Incarnation,
    },
    /// A member is about to restart: its leaderships leave, its replicas stay.
    Drain {
        /// Which member.
        raft_id: RaftId,
        /// The start that drains; a later one does not.
        incarnation: Incarnation,
    },
    /// It does not restart after all: it is joining until it says again that it has caught up.
    Undrain {
        /// Which member.
        raft_id: RaftId,
    },
    /// A member was not heard by anybody for too long.
    Unreachable {
        /// Which member.
        raft_id: RaftId,
        /// The start that fell silent; a later one did not.
        incarnation: Incarnation,
    },
    /// Replace the replicas of a member that is down now.
    Replace {
        /// Which member.
        raft_id: RaftId,
    },
    /// These members leave: their replicas move off, then they have left.
    Leave {
        /// Their names.
        names: BTreeSet<String>,
        /// Even if fewer members stay than each shard needs voters.
        force: bool,
    },
    /// Of the nodes `set-0`, `set-1`, … those from number `to` on leave, and no others.
    Scale {
        /// What stands before the number in their names.
        set: String,
        /// How many stay.
        to: u32,
        /// Even if fewer members stay than each shard needs voters.
        force: bool,
    },
    /// Remove a member that left, or that is down and holds nothing.
    Forget {
        /// Which member.
        raft_id: RaftId,
    },
    /// The leader of a group tells its voters.
    Moved {
        /// Which group.
        which: Which,
        /// All its voters, by its last committed membership entry (not while two sets of voters are in force).
        voters: BTreeSet<RaftId>,
        /// The log index of that entry.
        at: u64,
    },
    /// What `placement` found to be next.
    Plan(Plan),
}

/// A move to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Which group.
    pub which: Which,
    /// The voters to reach.
    pub voters: BTreeSet<RaftId>,
    /// Why.
    pub reason: Reason,
}

/// What to begin and to give up, decided as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Moves that lead nowhere any more.
    pub abandon: Vec<Which>,
    /// Moves to start.
    pub start: Vec<Start>,
    /// Shards whose preferred leader changes.
    pub leaders: Vec<(u32, Option<RaftId>)>,
}

impl Plan {
    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.abandon.is_empty() && self.start.is_empty() && self.leaders.is_empty()
    }
}
