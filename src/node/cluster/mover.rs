//! Brings one group to where the configuration wants it. Runs beside each replica, and acts while that leads.
//!
//! * Voters: the new one learns first, then votes; what was there stays a majority of what comes.
//! * Leadership: to the preferred leader, or away from a node that drains.
//! * What really is, is reported to the leader of the system group.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::{ChangeError, Group, Leadership, RaftGroup, RaftId, Replicas, TransferError},
    environment::{Environment, watch},
    membership::{self, ClusterState, Command, MemberState, Which},
    peering::{Liveness, PeerStatus},
    store::Health,
};
use tokio::{sync::Semaphore, time::Instant};

use super::{council::Council, planned_move, system::Known};
use crate::node::supervise::CurrentHandover;

/// How often is looked when nothing tells of a change.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a step of a change may take.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long a leader stays before it hands leadership to the preferred one: elections come in groups.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// How long to wait for a replica that has not caught up; twice as long each time, up to [`FAILED_AGAIN`]: it may be away.
const CAUGHT_UP_AGAIN: Duration = Duration::from_millis(50);
/// How long to wait after a step that failed.
const FAILED_AGAIN: Duration = Duration::from_secs(1);
/// How rare attempts to move leadership become that fail again and again.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// What movers of one node share.
#[derive(Clone)]
pub(in crate::node) struct MoverServices {
    pub(in crate::node) council: Council,
    /// How many groups of this node may change at once.
    pub(in crate::node) changes: Arc<Semaphore>,
    /// Whether this node is about to stop.
    pub(in crate::node) draining: watch::Receiver<bool>,
    /// Whether the store of this node takes writes.
    pub(in crate::node) store: watch::Receiver<Health>,
}

/// Brings one group to where it should be.
pub(in crate::node) struct Mover {
    pub(in crate::node) which: Which,
    pub(in crate::node) group: RaftGroup,
    pub(in crate::node) handover: Option<CurrentHandover>,
    pub(in crate::node) services: MoverServices,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Report(BTreeSet<RaftId>, u64),
    AddLearner(RaftId),
    RemoveLearner(RaftId),
    ChangeVoters(BTreeSet<RaftId>),
    MoveLeadership(Vec<RaftId>),
}

/// Why a step was not taken.
enum Failure {
    /// A replica that is new here has to catch up first. Nothing is wrong, unless it lasts.
    NotYet(String),
    /// As the text says.
    Failed(String),
}

impl Failure {
    fn of(error: ChangeError) -> Self {
        match error {
            ChangeError::NotCaughtUp { .. } | ChangeError::NotHeard { .. } => Self::NotYet(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl Mover {
    /// Runs until `stopped`.
    pub(in crate::node) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let system = &self.services.council.system;
        let (known, mut news) = (system.known(), system.news_of(self.which));
        let (mut draining, mut store) = (self.services.draining.clone(), self.services.store.clone());
        let (mut leadership, mut replicas) = (self.group.leadership(), self.group.replicas());
        let mut leads_since = None;
        // Each attempt to move leadership pauses the shard for a moment; one that fails again and again must become rare.
        let (mut patience, mut not_before) = (Duration::ZERO, None);
        let mut catching_up = Duration::ZERO;
        while !*stopped.borrow_and_update() {
            let leads = matches!(*leadership.borrow_and_update(), Leadership::Leader { .. });
            leads_since = leads.then(|| leads_since.unwrap_or_else(|| self.environment().now()));
            let _ = (draining.borrow_and_update(), replicas.borrow_and_update());
            let _ = store.borrow_and_update();
            drop(news.borrow_and_update());
            let state = known.borrow().clone();
            if !leads {
                (patience, not_before) = (Duration::ZERO, None);
            }
            let step = leads_since.and_then(|since| self.next_step(&state, since, not_before));
            let wait = match step {
                None => {
                    catching_up = Duration::ZERO;
                    LOOK_EVERY
                }
                Some(step) => match self.take(&step).await {
                    // The configuration that says so has to come back first.
                    Ok(()) if matches!(step, Step::Report(..)) => LOOK_EVERY,
                    Ok(()) => {
                        catching_up = Duration::ZERO;
                        continue;
                    }
                    Err(Failure::NotYet(reason)) => {
                        let waited = catching_up;
                        catching_up = (catching_up * 2).clamp(CAUGHT_UP_AGAIN, FAILED_AGAIN);
                        // Once: it may go on for as long as a node is away.
                        if waited < FAILED_AGAIN && catching_up == FAILED_AGAIN {
                            tracing::info!(group = %self.which, ?step, reason, "a change of a group waits for a replica");
                        }
                        catching_up
                    }
                    Err(Failure::Failed(error)) => {
                        if matches!(step, Step::MoveLeadership(_)) {
                            patience = (patience * 2).clamp(FAILED_AGAIN, PATIENCE_MAX);
                            not_before = Some(self.environment().now() + patience);
                        }
                        tracing::info!(group = %self.which, ?step, error, "a change of a group failed; trying again");
                        FAILED_AGAIN
                    }
                },
            };
            // An error means that the replica, or the node, is over: nobody tells any news, for ever.
            let heard = tokio::select! {
                biased;
                heard = stopped.changed() => heard,
                heard = leadership.changed() => heard,
                heard = replicas.changed() => heard,
                heard = news.changed() => heard,
                heard = draining.changed() => heard,
                // Whoever follows has nothing to look at; of a thousand groups on a node most follow.
                () = tokio::time::sleep(wait), if leads => Ok(()),
            };
            if heard.is_err() {
                return;
            }
        }
    }

    fn environment(&self) -> &Environment {
        &self.services.council.environment
    }

    fn next_step(&self, state: &Known, leads_since: Instant, not_before: Option<Instant>) -> Option<Step> {
        let state = state.as_deref()?;
        let replicas = self.group.replicas().borrow().clone();
        let own = self.group.own();
        let is_settled = self.environment().now() >= leads_since + SETTLED_AFTER;
        let is_told = state.member(own).is_some_and(|member| member.state == MemberState::Draining);
        let drains = is_told || *self.services.draining.borrow() || !self.writes();
        let step = next_step(state, self.which, &replicas, own, drains)?;
        let is_too_early = not_before.is_some_and(|at| self.environment().now() < at);
        match step {
            Step::MoveLeadership(_) if !drains && (!is_settled || is_too_early) => None,
            Step::MoveLeadership(targets) => {
                let targets: Vec<_> = targets.into_iter().filter(|to| self.is_heard(state, *to)).collect();
                (!targets.is_empty()).then_some(Step::MoveLeadership(targets))
            }
            step => Some(step),
        }
    }

    /// Without a store that takes writes this node can commit nothing that it proposes.
    fn writes(&self) -> bool {
        self.services.store.borrow().is_healthy()
    }

    fn is_heard(&self, state: &ClusterState, to: RaftId) -> bool {
        let Some(peering) = &self.services.council.peering else { return false };
        let can_lead = |peer: &PeerStatus| peer.liveness == Liveness::Alive && peer.store_healthy;
        let heard = peering.peers().borrow().get(&to).is_some_and(can_lead);
        // One that has just returned is alive before this group has heard of it.
        let is_followed = !matches!(self.group.check_transfer(to), Err(TransferError::NotHeard { .. }));
        heard && is_followed && state.member(to).is_some_and(|member| member.state == MemberState::Up)
    }

    async fn take(&self, step: &Step) -> Result<(), Failure> {
        let text = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        if let Step::Report(voters, at) = step {
            // It changes nothing here, and may wait for a majority of another group.
            let moved = Command::Moved { which: self.which, voters: voters.clone(), at: *at };
            let told = self.services.council.submit(&moved, STEP_WITHIN).await;
            return told.map(drop).map_err(|error| text(&error));
        }
        let permit = self.services.changes.acquire().await;
        let _permit = permit.map_err(|_| Failure::Failed("the node stops".to_owned()))?;
        match step {
            Step::Report(..) => Ok(()),
            Step::AddLearner(id) => {
                self.group.add_learner(*id, STEP_WITHIN).await.map_err(|error| text(&error))
            }
            Step::RemoveLearner(id) => {
                self.group.remove_learner(*id, STEP_WITHIN).await.map_err(|error| text(&error))
            }
            Step::ChangeVoters(voters) => {
                self.group.change_voters(voters, STEP_WITHIN).await.map_err(Failure::of)
            }
            Step::MoveLeadership(targets) => self.move_leadership(targets).await.map_err(Failure::Failed),
        }
    }

    async fn move_leadership(&self, targets: &[RaftId]) -> Result<(), String> {
        let mut last = "nobody can take it over".to_owned();
        // What waits for a store that does not write will not become quiet; the next leader commits it.
        let handover = self.handover.as_ref().filter(|_| self.writes());
        for target in targets {
            match planned_move::move_leadership(&self.group, handover, *target).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }
}

/// What the leader of a group does next. `None`: everything is as it should be, or nothing can be done now.
fn next_step(
    state: &ClusterState,
    which: Which,
    actual: &Replicas,
    own: RaftId,
    drains: bool,
) -> Option<Step> {
    let planned = state.replicas(which)?;
    let others =
        |voters: &BTreeSet<RaftId>| voters.iter().copied().filter(|id| *id != own).collect::<Vec<_>>();
    if actual.is_joint {
        return Some(out_of_joint(planned, actual, own));
    }
    if !actual.is_committed {
        return None;
    }
    if actual.at > planned.confirmed_at && actual.voters != planned.voters {
        return Some(Step::Report(actual.voters.clone(), actual.at));
    }
    if drains && !others(&actual.voters).is_empty() {
        let preferred = preferred(state, which);
        let mut targets = others(&actual.voters);
        targets.sort_by_key(|id| Some(*id) != preferred);
        return Some(Step::MoveLeadership(targets));
    }
    if let Some(wanted) = planned.wanted.as_ref().filter(|wanted| wanted.voters != actual.voters) {
        return Some(towards(&wanted.voters, actual, own));
    }
    if let Some(stray) = actual.learners.iter().find(|id| !is_learner(state, which, **id)) {
        return Some(Step::RemoveLearner(*stray));
    }
    if which == Which::System {
        let missing = state
            .members()
            .values()
            .find(|member| member_follows(state, member.raft_id) && !actual.contains(member.raft_id));
        return missing.map(|member| Step::AddLearner(member.raft_id));
    }
    let preferred = preferred(state, which).filter(|to| *to != own && actual.voters.contains(to))?;
    Some(Step::MoveLeadership(vec![preferred]))
}

/// The next step from what is to the voters that are wanted: learn, vote, and a leader that is to go hands over.
fn towards(wanted: &BTreeSet<RaftId>, actual: &Replicas, own: RaftId) -> Step {
    if let Some(arriving) = wanted.difference(&actual.voters).find(|id| !actual.learners.contains(id)) {
        return Step::AddLearner(*arriving);
    }
    if wanted.contains(&own) {
        return Step::ChangeVoters(wanted.clone());
    }
    // A leader cannot remove itself.
    let heirs: Vec<_> = wanted.intersection(&actual.voters).copied().collect();
    if heirs.is_empty() {
        // The only voter makes the newcomer a voter beside it first.
        return Step::ChangeVoters(wanted.union(&actual.voters).copied().collect());
    }
    Step::MoveLeadership(heirs)
}

/// A leader was lost in the middle of a change. Asking for one of the two sets of voters again ends it; a leader that is
/// not among them must first let another one lead.
fn out_of_joint(planned: &membership::Replicas, actual: &Replicas, own: RaftId) -> Step {
    let is_offered = |voters: &&BTreeSet<RaftId>| actual.sets.contains(voters);
    let goals = [planned.wanted.as_ref().map(|wanted| &wanted.voters), Some(&planned.voters)];
    let goal = goals.into_iter().flatten().find(is_offered).or_else(|| actual.sets.last());
    let goal = goal.cloned().unwrap_or_default();
    if goal.contains(&own) {
        return Step::ChangeVoters(goal);
    }
    let stays = |id: &RaftId| actual.sets.iter().all(|set| set.contains(id));
    Step::MoveLeadership(goal.into_iter().filter(stays).collect())
}

fn preferred(state: &ClusterState, which: Which) -> Option<RaftId> {
    match which {
        Which::System => None,
        Which::Shard(shard) => state.map().get(shard as usize)?.preferred_leader,
    }
}

/// Everybody who has not left follows the system group; a shard has no learners but those that arrive.
fn is_learner(state: &ClusterState, which: Which, id: RaftId) -> bool {
    let arrives = state.replicas(which).is_some_and(|replicas| replicas.involves(id));
    arrives || which == Which::System && member_follows(state, id)
}

fn member_follows(state: &ClusterState, id: RaftId) -> bool {
    state.member(id).is_some_and(|member| member.state != MemberState::Left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<RaftId> {
        ids.iter().copied().map(RaftId).collect()
    }

    fn joint(before: &[u64], after: &[u64]) -> Replicas {
        let sets = vec![ids(before), ids(after)];
        let voters = sets.iter().flatten().copied().collect();
        Replicas { voters, is_joint: true, sets, is_committed: true, at: 9, ..Replicas::default() }
    }

    fn planned(voters: &[u64], wanted: Option<&[u64]>) -> membership::Replicas {
        let wanted = wanted.map(|voters| membership::Wanted {
            voters: ids(voters),
            since_ms: 0,
            reason: membership::Reason::Balance,
        });
        membership::Replicas { voters: ids(voters), confirmed_at: 1, wanted }
    }

    fn settled(voters: &[u64], learners: &[u64]) -> Replicas {
        Replicas { voters: ids(voters), learners: ids(learners), is_committed: true, ..Replicas::default() }
    }

    /// Nobody could take over from the only voter, so a group of one once stayed where it was for ever.
    #[test]
    fn a_group_of_one_moves_by_way_of_two() {
        let (from, to) = (RaftId(1), RaftId(2));
        let wanted = ids(&[2]);
        assert_eq!(towards(&wanted, &settled(&[1], &[]), from), Step::AddLearner(to));
        assert_eq!(towards(&wanted, &settled(&[1], &[2]), from), Step::ChangeVoters(ids(&[1, 2])));
        assert_eq!(towards(&wanted, &settled(&[1, 2], &[]), from), Step::MoveLeadership(vec![to]));
        assert_eq!(towards(&wanted, &settled(&[1, 2], &[]), to), Step::ChangeVoters(ids(&[2])));
    }

    #[test]
    fn a_change_that_lost_its_leader_is_ended() {
        let step =
            out_of_joint(&planned(&[1, 2, 3], Some(&[1, 2, 4])), &joint(&[1, 2, 3], &[1, 2, 4]), RaftId(1));
        assert_eq!(step, Step::ChangeVoters(ids(&[1, 2, 4])));
    }

    #[test]
    fn a_leader_that_is_to_go_hands_over_first() {
        let step =
            out_of_joint(&planned(&[1, 2, 3], Some(&[1, 2, 4])), &joint(&[1, 2, 3], &[1, 2, 4]), RaftId(3));
        assert_eq!(step, Step::MoveLeadership(vec![RaftId(1), RaftId(2)]));
    }

    #[test]
    fn a_change_that_was_given_up_is_taken_back() {
        let step = out_of_joint(&planned(&[1, 2, 3], None), &joint(&[1, 2, 3], &[1, 2, 4]), RaftId(1));
        assert_eq!(step, Step::ChangeVoters(ids(&[1, 2, 3])));
    }

    #[test]
    fn another_change_begins_only_when_this_one_has_ended() {
        let step =
            out_of_joint(&planned(&[1, 2, 3], Some(&[1, 2, 5])), &joint(&[1, 2, 3], &[1, 2, 4]), RaftId(2));
        assert_eq!(step, Step::ChangeVoters(ids(&[1, 2, 3])));
    }
}
