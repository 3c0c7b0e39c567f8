//! Where a Raft group has its voters, and where they should go.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::consensus::RaftId;

/// Which Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Which {
    /// The group that holds the configuration.
    System,
    /// A shard, by number.
    Shard(u32),
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => formatter.write_str("the system group"),
            Self::Shard(shard) => write!(formatter, "shard {shard}"),
        }
    }
}

/// Why a replica moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A voter is lost, or down for too long.
    Repair,
    /// A voter's member leaves.
    Leave,
    /// There are more members than voters.
    Grow,
    /// There are more voters than wanted.
    Shrink,
    /// Zones or loads are uneven.
    Balance,
}

/// Where the voters of a group should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The voters to reach: at most one added and one removed.
    pub voters: BTreeSet<RaftId>,
    /// When the move was decided.
    pub since_ms: u64,
    /// Why.
    pub reason: Reason,
}

/// The voters of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// The voters, as last confirmed by the group's leader.
    pub voters: BTreeSet<RaftId>,
    /// The log index of the membership entry that was confirmed: an older report changes nothing.
    pub confirmed_at: u64,
    /// A move under way.
    pub wanted: Option<Wanted>,
}

impl Replicas {
    /// One voter, which nobody has confirmed yet.
    pub(super) fn founded(by: RaftId) -> Self {
        Self { voters: BTreeSet::from([by]), confirmed_at: 0, wanted: None }
    }

    /// The voters after the move under way.
    #[must_use]
    pub fn planned(&self) -> &BTreeSet<RaftId> {
        self.wanted.as_ref().map_or(&self.voters, |wanted| &wanted.voters)
    }

    /// The replica that the move under way brings.
    #[must_use]
    pub fn arriving(&self) -> Option<RaftId> {
        self.wanted.as_ref()?.voters.difference(&self.voters).next().copied()
    }

    /// Whether the node votes, or is to.
    #[must_use]
    pub fn involves(&self, raft_id: RaftId) -> bool {
        self.voters.contains(&raft_id) || self.planned().contains(&raft_id)
    }
}

/// One shard on the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its voters.
    pub replicas: Replicas,
    /// Who should lead it: a voter, or nobody that is able to.
    pub preferred_leader: Option<RaftId>,
}
