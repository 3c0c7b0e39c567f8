//! Replicas move, one at a time per group.

use std::collections::BTreeSet;

use super::super::{
    ClusterState, MOVES_MAX, Member, Plan, REPLICATION_FACTOR_MAX, Refusal, Replicas, Start, Wanted, Which,
};
use crate::consensus::RaftId;

/// Voters that a leader may report: while it changes one, there may be one more than wanted.
const VOTERS_MAX: usize = REPLICATION_FACTOR_MAX as usize + 1;

impl ClusterState {
    pub(super) fn moved(&mut self, which: Which, voters: &BTreeSet<RaftId>, at: u64) -> Result<(), Refusal> {
        if voters.is_empty() || voters.len() > VOTERS_MAX {
            return Err(Refusal::Invalid { what: format!("the number of voters of {which}") });
        }
        if let Some(stranger) = voters.iter().find(|voter| !self.has_ever_known(**voter)) {
            return Err(Refusal::Unknown { what: format!("with the volume {}", stranger.0) });
        }
        let replicas = self.replicas_mut(which)?;
        if at < replicas.confirmed_at || (at == replicas.confirmed_at && *voters == replicas.voters) {
            return Ok(());
        }
        replicas.confirm(voters, at);
        self.drop_foreign_leader(which);
        Ok(())
    }

    pub(super) fn begin(&mut self, plan: &Plan) -> Result<(), Refusal> {
        for which in &plan.abandon {
            self.replicas_mut(*which)?.wanted = None;
        }
        for start in &plan.start {
            self.check_start(start)?;
            let since_ms = self.clock_ms;
            let wanted = Wanted { voters: start.voters.clone(), since_ms, reason: start.reason };
            self.replicas_mut(start.which)?.wanted = Some(wanted);
        }
        let moving = self.all_replicas().filter(|replicas| replicas.wanted.is_some()).count();
        if moving > MOVES_MAX {
            return Err(Refusal::Full { what: "moves under way".to_owned(), max: MOVES_MAX });
        }
        plan.leaders.iter().try_for_each(|(shard, leader)| self.prefer(*shard, *leader))
    }

    fn check_start(&self, start: &Start) -> Result<(), Refusal> {
        let (which, new) = (start.which, &start.voters);
        let replicas = self.replicas(which).ok_or_else(|| no_such(which))?;
        let old = &replicas.voters;
        let unsafe_move = |why: &str| Err(Refusal::UnsafeMove { which, why: why.to_owned() });
        let added: Vec<_> = new.difference(old).collect();
        if replicas.wanted.is_some() {
            return unsafe_move("another move is under way");
        }
        if new == old || added.len() > 1 || old.difference(new).count() > 1 {
            return unsafe_move("a move changes one replica");
        }
        if !added.iter().all(|id| self.member(**id).is_some_and(Member::is_available)) {
            return unsafe_move("the new replica's member is not up, or is leaving");
        }
        if !self.has_quorum(old) || !self.has_quorum(new) {
            return unsafe_move("there is no live majority before it or after it");
        }
        let enough = self.voters_enough(which);
        if new.len() < old.len() && new.len() < enough || new.len() > old.len() && new.len() > enough {
            return unsafe_move("it leads away from the number of voters that is wanted");
        }
        Ok(())
    }

    /// How many voters the group should have now.
    fn voters_enough(&self, which: Which) -> usize {
        match which {
            Which::System => self.system_voters_wanted(),
            Which::Shard(_) => self.voters_wanted(),
        }
    }

    fn prefer(&mut self, shard: u32, leader: Option<RaftId>) -> Result<(), Refusal> {
        let which = Which::Shard(shard);
        let can_lead = |id: &RaftId| self.member(*id).is_some_and(Member::is_available);
        if leader.as_ref().is_some_and(|id| !can_lead(id)) {
            return Err(Refusal::UnsafeMove { which, why: "its leader is not up, or is leaving".to_owned() });
        }
        let shard = self.map.get_mut(shard as usize).ok_or_else(|| no_such(which))?;
        if leader.is_some_and(|id| !shard.replicas.voters.contains(&id)) {
            return Err(Refusal::UnsafeMove { which, why: "its leader is not one of its voters".to_owned() });
        }
        shard.preferred_leader = leader;
        Ok(())
    }

    /// Only a voter can lead.
    fn drop_foreign_leader(&mut self, which: Which) {
        if let Which::Shard(number) = which {
            let shard = &mut self.map[number as usize];
            shard.preferred_leader = shard.preferred_leader.filter(|id| shard.replicas.voters.contains(id));
        }
    }

    fn has_ever_known(&self, raft_id: RaftId) -> bool {
        self.members.contains_key(&raft_id) || self.former.iter().any(|former| former.raft_id == raft_id)
    }

    pub(super) fn replicas_mut(&mut self, which: Which) -> Result<&mut Replicas, Refusal> {
        match which {
            Which::System => Ok(&mut self.system),
            Which::Shard(number) => {
                let shard = self.map.get_mut(number as usize).ok_or_else(|| no_such(which))?;
                Ok(&mut shard.replicas)
            }
        }
    }
}

impl Replicas {
    /// The leader's word counts, whatever was wanted. A wish that is no longer one step away is dropped.
    fn confirm(&mut self, voters: &BTreeSet<RaftId>, at: u64) {
        self.voters.clone_from(voters);
        self.confirmed_at = at;
        self.wanted = self.wanted.take().filter(|wanted| {
            let added = wanted.voters.difference(voters).count();
            let removed = voters.difference(&wanted.voters).count();
            added <= 1 && removed <= 1 && added + removed > 0
        });
    }
}

fn no_such(which: Which) -> Refusal {
    Refusal::Invalid { what: format!("the number of {which}") }
}
