//! What a node tells about itself, for operators and for the other nodes.

use std::collections::BTreeSet;

use playhouse_cluster::{
    consensus::{Group, GroupId, Leadership, RaftGroup, RaftId},
    identity::Incarnation,
};
use serde::{Deserialize, Serialize};

/// What a node tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its volume.
    pub raft_id: RaftId,
    /// This start of it.
    pub incarnation: Incarnation,
    /// Whether it leads the system group.
    pub leads_system: bool,
    /// The system group, as its leader sees it; `None` if this node does not lead it.
    pub system: Option<ShardReport>,
    /// Peers that it does not hear.
    pub suspects: BTreeSet<RaftId>,
    /// Shards that it leads.
    pub shards: Vec<ShardReport>,
    /// What was forced upon its volume.
    pub recoveries: Vec<String>,
}

/// A shard, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardReport {
    /// Its number.
    pub shard: u32,
    /// In which term it is led.
    pub term: u64,
    /// The index of the last log entry.
    pub last_log: u64,
    /// The index of the last committed entry.
    pub committed: u64,
    /// Its replicas but the leader's own.
    pub followers: Vec<FollowerReport>,
}

/// A replica, as the leader of its shard sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerReport {
    /// Whose it is.
    pub raft_id: RaftId,
    /// Whether it votes.
    pub votes: bool,
    /// How many entries it lacks.
    pub lag: u64,
    /// How long ago it answered, in milliseconds.
    pub heard_ms: Option<u64>,
}

/// What the leader of a group knows of it; `None` for a replica that does not lead.
pub(super) fn shard_report(id: GroupId, group: &RaftGroup) -> Option<ShardReport> {
    let Leadership::Leader { term } = *group.leadership().borrow() else { return None };
    let progress = group.progress()?;
    let replicas = group.replicas().borrow().clone();
    let others = replicas.voters.iter().chain(&replicas.learners).filter(|id| **id != group.own());
    let follower = |id: &RaftId| FollowerReport {
        raft_id: *id,
        votes: replicas.voters.contains(id),
        lag: progress.lag(*id),
        heard_ms: progress.heard_ms.get(id).copied(),
    };
    Some(ShardReport {
        shard: id.0,
        term: term.0,
        last_log: progress.last_log,
        committed: progress.committed,
        followers: others.map(follower).collect(),
    })
}
