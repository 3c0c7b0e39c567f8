//! Brings one group to where the configuration wants it. Runs beside each replica, and acts while that leads.
//!
//! * Voters: the new one learns first, then votes; what was there stays a majority of what comes.
//! * Leadership: to the preferred leader, or away from a node that drains.
//! * What really is, is reported to the leader of the system group.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::{Group, Leadership, RaftGroup, RaftId, Replicas},
    environment::Environment,
    membership::{ClusterState, Command, MemberState, Which},
    peering::Liveness,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::{council::Council, planned_move, system::Known};
use crate::node::supervise::CurrentHandover;

/// How often is looked when nothing tells of a change.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a step of a change may take.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long a leader stays before it hands leadership to the preferred one: elections come in groups.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// How long to wait after a step that failed.
const FAILED_AGAIN: Duration = Duration::from_secs(1);

/// What movers of one node share.
#[derive(Clone)]
pub(in crate::node) struct MoverServices {
    pub(in crate::node) council: Council,
    /// How many groups of this node may change at once.
    pub(in crate::node) changes: Arc<Semaphore>,
    /// Whether this node is about to stop.
    pub(in crate::node) draining: watch::Receiver<bool>,
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

impl Mover {
    /// Runs until `stopped`.
    pub(in crate::node) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut known = self.services.council.system.known();
        let mut draining = self.services.draining.clone();
        let (mut leadership, mut replicas) = (self.group.leadership(), self.group.replicas());
        let mut leads_since = None;
        while !*stopped.borrow_and_update() {
            let leads = matches!(*leadership.borrow_and_update(), Leadership::Leader { .. });
            leads_since = leads.then(|| leads_since.unwrap_or_else(|| self.environment().now()));
            let _ = (draining.borrow_and_update(), replicas.borrow_and_update());
            let state = known.borrow_and_update().clone();
            let step = leads_since.and_then(|since| self.next_step(&state, since));
            let wait = match step {
                None => LOOK_EVERY,
                Some(step) => match self.take(&step).await {
                    Ok(()) => continue,
                    Err(error) => {
                        tracing::info!(group = %self.which, ?step, error, "a change of a group failed; trying again");
                        FAILED_AGAIN
                    }
                },
            };
            tokio::select! {
                biased;
                _ = stopped.changed() => {}
                Ok(()) = leadership.changed() => {}
                Ok(()) = replicas.changed() => {}
                _ = known.changed() => {}
                _ = draining.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn environment(&self) -> &Environment {
        &self.services.council.environment
    }

    fn next_step(&self, state: &Known, leads_since: Instant) -> Option<Step> {
        let state = state.as_deref()?;
        let replicas = self.group.replicas().borrow().clone();
        let own = self.group.own();
        let is_settled = self.environment().now() >= leads_since + SETTLED_AFTER;
        let is_told = state.member(own).is_some_and(|member| member.state == MemberState::Draining);
        let drains = is_told || *self.services.draining.borrow();
        let step = next_step(state, self.which, &replicas, own, drains)?;
        match step {
            Step::MoveLeadership(_) if !drains && !is_settled => None,
            Step::MoveLeadership(targets) => {
                let targets: Vec<_> = targets.into_iter().filter(|to| self.is_heard(state, *to)).collect();
                (!targets.is_empty()).then_some(Step::MoveLeadership(targets))
            }
            step => Some(step),
        }
    }

    fn is_heard(&self, state: &ClusterState, to: RaftId) -> bool {
        let Some(peering) = &self.services.council.peering else { return false };
        let heard = peering.peers().borrow().get(&to).is_some_and(|peer| peer.liveness == Liveness::Alive);
        heard && state.member(to).is_some_and(|member| member.state == MemberState::Up)
    }

    async fn take(&self, step: &Step) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        if let Step::Report(voters, at) = step {
            // It changes nothing here, and may wait for a majority of another group.
            let moved = Command::Moved { which: self.which, voters: voters.clone(), at: *at };
            let told = self.services.council.submit(&moved, STEP_WITHIN).await;
            return told.map(drop).map_err(|error| text(&error));
        }
        let permit = self.services.changes.acquire().await;
        let _permit = permit.map_err(|_| "the node stops".to_owned())?;
        match step {
            Step::Report(..) => Ok(()),
            Step::AddLearner(id) => {
                self.group.add_learner(*id, STEP_WITHIN).await.map_err(|error| text(&error))
            }
            Step::RemoveLearner(id) => {
                self.group.remove_learner(*id, STEP_WITHIN).await.map_err(|error| text(&error))
            }
            Step::ChangeVoters(voters) => {
                self.group.change_voters(voters, STEP_WITHIN).await.map_err(|error| text(&error))
            }
            Step::MoveLeadership(targets) => self.move_leadership(targets).await,
        }
    }

    async fn move_leadership(&self, targets: &[RaftId]) -> Result<(), String> {
        let mut last = "nobody can take it over".to_owned();
        for target in targets {
            match planned_move::move_leadership(&self.group, self.handover.as_ref(), *target).await {
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
        // Somebody began a change; asking for it again ends it.
        return planned.wanted.as_ref().map(|wanted| Step::ChangeVoters(wanted.voters.clone()));
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
        let arriving = wanted.voters.difference(&actual.voters).find(|id| !actual.learners.contains(id));
        return Some(match arriving {
            Some(arriving) => Step::AddLearner(*arriving),
            None if wanted.voters.contains(&own) => Step::ChangeVoters(wanted.voters.clone()),
            // A leader cannot remove itself.
            None => Step::MoveLeadership(wanted.voters.intersection(&actual.voters).copied().collect()),
        });
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
