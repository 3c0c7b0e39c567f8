//! Which of a peer's connections carries a message.

use serde::{Deserialize, Serialize};

/// One connection to a peer. No lane blocks another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Heartbeats and membership. Small, never behind anything large.
    Control,
    /// Votes, log entries, heartbeats of Raft.
    Consensus,
    /// What shards say to each other; there are several, and the caller spreads over them by hash.
    Shard(u8),
    /// Snapshots and backup.
    Bulk,
    /// What processes say to each other. One connection per pair of nodes, in use in both directions: the node with the
    /// smaller Raft id dials it.
    Processes,
    /// Messages, monitors and links between bounded processes. One connection per pair, dialed as that of
    /// [`Processes`](Self::Processes).
    Mail,
}

/// Lanes of one purpose, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneClass {
    /// [`Lane::Control`].
    Control,
    /// [`Lane::Consensus`].
    Consensus,
    /// Every [`Lane::Shard`].
    Shard,
    /// [`Lane::Bulk`].
    Bulk,
    /// [`Lane::Processes`].
    Processes,
    /// [`Lane::Mail`].
    Mail,
}

impl LaneClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Control, Self::Consensus, Self::Shard, Self::Bulk, Self::Processes, Self::Mail];

    /// As it is written in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Consensus => "consensus",
            Self::Shard => "shard",
            Self::Bulk => "bulk",
            Self::Processes => "processes",
            Self::Mail => "mail",
        }
    }
}

impl Lane {
    /// What it is counted as.
    #[must_use]
    pub fn class(self) -> LaneClass {
        match self {
            Self::Control => LaneClass::Control,
            Self::Consensus => LaneClass::Consensus,
            Self::Shard(_) => LaneClass::Shard,
            Self::Bulk => LaneClass::Bulk,
            Self::Processes => LaneClass::Processes,
            Self::Mail => LaneClass::Mail,
        }
    }

    /// Frames are pushed on it; on the others only requests go.
    pub(super) fn is_pushed(self) -> bool {
        matches!(self, Self::Shard(_) | Self::Processes | Self::Mail)
    }

    /// One connection carries both directions, and what is said on it can end it again and again.
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Self::Processes | Self::Mail)
    }

    /// Lanes that are dialed once the control lane is up.
    pub(super) fn others(shard_lanes: u8, shared: impl Iterator<Item = Self>) -> impl Iterator<Item = Self> {
        [Self::Consensus, Self::Bulk].into_iter().chain((0..shard_lanes).map(Self::Shard)).chain(shared)
    }
}
