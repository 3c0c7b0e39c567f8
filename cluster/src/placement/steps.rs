//! From where a group is to where it should be, one replica at a time.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{Config, Obstacle, Outlook, Stuck, pool::Pool, table::Group};
use crate::{
    consensus::RaftId,
    membership::{ClusterState, Member, MemberState, Plan, Reason, Replicas, Start, Which},
};

/// What to do next, as it is being found.
pub(super) struct Steps<'a> {
    state: &'a ClusterState,
    pool: &'a Pool,
    config: &'a Config,
    abandon: Vec<Which>,
    starts: Vec<Start>,
    stuck: Vec<Stuck>,
    remaining: usize,
    moving_shards: usize,
}

impl<'a> Steps<'a> {
    pub(super) fn new(state: &'a ClusterState, pool: &'a Pool, config: &'a Config) -> Self {
        let (abandon, starts, stuck) = (Vec::new(), Vec::new(), Vec::new());
        Self { state, pool, config, abandon, starts, stuck, remaining: 0, moving_shards: 0 }
    }

    /// One step for each group that is not where it should be.
    pub(super) fn towards(&mut self, groups: &[Group<'_>], targets: &[BTreeSet<RaftId>]) {
        for (group, target) in groups.iter().zip(targets) {
            let confirmed = &self.state.replicas(group.which).expect("the group exists").voters;
            let differences = target.symmetric_difference(confirmed);
            // One that comes and one that goes are one replica that moves.
            self.remaining += differences.count().div_ceil(2);
            if group.is_abandoned {
                self.abandon.push(group.which);
            }
            if group.is_moving {
                self.moving_shards += usize::from(group.which != Which::System);
            } else {
                self.step(group, target);
            }
        }
    }

    /// The most urgent first, no more than may be under way at once. The system group does not count.
    pub(super) fn into_outlook(mut self) -> Outlook {
        let shards_max = self.config.moves_max.saturating_sub(self.moving_shards);
        self.starts.sort_by_key(|start| (start.which != Which::System, start.reason, start.which));
        let system = self.starts.iter().filter(|start| start.which == Which::System).count();
        self.starts.truncate(system + shards_max);
        let plan = Plan { abandon: self.abandon, start: self.starts, leaders: Vec::new() };
        Outlook { plan, stuck: self.stuck, remaining: self.remaining }
    }

    fn step(&mut self, group: &Group<'_>, target: &BTreeSet<RaftId>) {
        let (which, voters) = (group.which, group.voters);
        let Some(change) = self.change(group, target) else { return };
        if !self.state.has_quorum(voters) {
            self.stuck.push(Stuck { which, why: Obstacle::NoQuorum });
            return;
        }
        match change {
            None => self.stuck.push(Stuck { which, why: Obstacle::NoMember }),
            Some((voters, _)) if !self.state.has_quorum(&voters) => {
                self.stuck.push(Stuck { which, why: Obstacle::NoQuorum });
            }
            Some((_, Reason::Balance)) if !self.are_all_up(voters) => {}
            Some((voters, reason)) => self.starts.push(Start { which, voters, reason }),
        }
    }

    /// The next set of voters. None: it is where it should be, or waits for a member that is on its way up.
    /// `Some(None)`: it should change and nobody can take the replica.
    fn change(
        &self,
        group: &Group<'_>,
        target: &BTreeSet<RaftId>,
    ) -> Option<Option<(BTreeSet<RaftId>, Reason)>> {
        let voters = group.voters;
        let wanted = match group.which {
            Which::System => self.state.system_voters_wanted(),
            Which::Shard(_) => self.state.voters_wanted(),
        };
        let goes = voters.difference(target).copied().max_by_key(|voter| self.urgency(*voter));
        if voters.len() > wanted {
            return goes.map(|goes| Some((without(voters, goes), Reason::Shrink)));
        }
        let is_expected = |id: &&RaftId| !self.can_receive(**id);
        let comes = self.best_arrival(group, target, goes);
        let has_to_come = voters.len() < wanted || goes.is_some();
        match (comes, goes) {
            (Some(comes), _) if voters.len() < wanted => Some(Some((with(voters, comes), Reason::Grow))),
            (Some(comes), Some(goes)) => Some(Some((with(&without(voters, goes), comes), self.reason(goes)))),
            _ if has_to_come && target.difference(voters).any(|id| is_expected(&id)) => None,
            _ if has_to_come => Some(None),
            _ => None,
        }
    }

    /// Of the members that are to come and are up, one whose zone has fewest of the voters that remain.
    fn best_arrival(
        &self,
        group: &Group<'_>,
        target: &BTreeSet<RaftId>,
        goes: Option<RaftId>,
    ) -> Option<RaftId> {
        let zone = |id: RaftId| self.state.member(id).map(|member| &member.zone);
        let remain = || group.voters.iter().filter(|voter| Some(**voter) != goes);
        let arrivals = target.difference(group.voters).copied().filter(|id| self.can_receive(*id));
        arrivals.min_by_key(|id| remain().filter(|voter| zone(**voter) == zone(*id)).count())
    }

    /// Which voter goes first: one that is lost, one that is down, one that leaves, any other.
    fn urgency(&self, voter: RaftId) -> (Reverse<Reason>, RaftId) {
        (Reverse(self.reason(voter)), voter)
    }

    fn reason(&self, voter: RaftId) -> Reason {
        match self.state.member(voter) {
            Some(member) if member.is_live() && member.stays() => Reason::Balance,
            Some(member) if member.is_live() => Reason::Leave,
            _ => Reason::Repair,
        }
    }

    fn can_receive(&self, raft_id: RaftId) -> bool {
        self.pool.keeper(raft_id).is_some_and(|place| self.pool.slots[place].receives)
    }

    fn are_all_up(&self, voters: &BTreeSet<RaftId>) -> bool {
        let is_up = |member: &Member| member.state == MemberState::Up;
        voters.iter().all(|voter| self.state.member(*voter).is_some_and(is_up))
    }
}

/// Whether the move leads nowhere any more: who should come is gone or leaves, or the majority would be.
pub(super) fn is_abandoned(state: &ClusterState, replicas: &Replicas) -> bool {
    let Some(wanted) = &replicas.wanted else { return false };
    let is_welcome = |id: RaftId| state.member(id).is_some_and(|member| member.is_live() && member.stays());
    let loses_quorum = || state.has_quorum(&replicas.voters) && !state.has_quorum(&wanted.voters);
    replicas.arriving().is_some_and(|id| !is_welcome(id)) || loses_quorum()
}

fn with(voters: &BTreeSet<RaftId>, comes: RaftId) -> BTreeSet<RaftId> {
    voters.iter().copied().chain([comes]).collect()
}

fn without(voters: &BTreeSet<RaftId>, goes: RaftId) -> BTreeSet<RaftId> {
    voters.iter().copied().filter(|voter| *voter != goes).collect()
}
