//! What an operator wants to see: who has what, and how much is still to move.

use serde::Serialize;

use super::{ClusterState, Intent, Member, MemberState};
use crate::consensus::RaftId;

/// One member's share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberProgress {
    /// Its name.
    pub name: String,
    /// Its volume.
    pub raft_id: RaftId,
    /// What it does.
    pub state: MemberState,
    /// Whether it leaves.
    pub intent: Intent,
    /// Shards of which it is a voter.
    pub replicas: usize,
    /// Shards that are on the way to it.
    pub arriving: usize,
    /// Shards that are on the way from it.
    pub departing: usize,
    /// Shards that it should lead.
    pub preferred_leader: usize,
    /// Whether it votes in the system group.
    pub is_system_voter: bool,
}

/// How far the cluster is from where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Counts the changes of the configuration.
    pub revision: u64,
    /// Each member, by Raft id.
    pub members: Vec<MemberProgress>,
    /// Moves under way.
    pub moving: usize,
    /// Replicas, those of the system group included, on members that leave or have left.
    pub leaving: usize,
    /// Replicas, those of the system group included, on volumes that are lost.
    pub lost: usize,
    /// Shards without a live majority: they wait for their voters, or for the operator.
    pub without_quorum: Vec<u32>,
}

impl Progress {
    /// Whether nothing moves and nobody still has to leave. Whether the loads are even, `placement` knows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.moving == 0 && self.leaving == 0 && self.lost == 0
    }
}

impl ClusterState {
    /// How far the cluster is from where it goes.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            revision: self.revision,
            members: self.members.values().map(|member| self.progress_of(member)).collect(),
            moving: self.all_replicas().filter(|replicas| replicas.wanted.is_some()).count(),
            leaving: self.voters_where(|id| self.member(id).is_some_and(|member| !member.stays())),
            lost: self.voters_where(|id| self.member(id).is_none()),
            without_quorum: self.without_quorum(),
        }
    }

    fn progress_of(&self, member: &Member) -> MemberProgress {
        let id = member.raft_id;
        let replicas = || self.map.iter().map(|shard| &shard.replicas);
        MemberProgress {
            name: member.name.clone(),
            raft_id: id,
            state: member.state,
            intent: member.intent,
            replicas: replicas().filter(|replicas| replicas.voters.contains(&id)).count(),
            arriving: replicas().filter(|replicas| replicas.arriving() == Some(id)).count(),
            departing: replicas()
                .filter(|replicas| replicas.voters.contains(&id) && !replicas.planned().contains(&id))
                .count(),
            preferred_leader: self.map.iter().filter(|shard| shard.preferred_leader == Some(id)).count(),
            is_system_voter: self.system.voters.contains(&id),
        }
    }

    fn voters_where(&self, is_so: impl Fn(RaftId) -> bool) -> usize {
        self.all_replicas().flat_map(|replicas| &replicas.voters).filter(|id| is_so(**id)).count()
    }

    fn without_quorum(&self) -> Vec<u32> {
        let lacks = |shard: &u32| !self.has_quorum(&self.map[*shard as usize].replicas.voters);
        (0..self.shards()).filter(lacks).collect()
    }
}
