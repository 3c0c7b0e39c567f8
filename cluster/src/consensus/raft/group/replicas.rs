//! Who the replicas of a group are, and how far each of them is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::environment::watch;
use openraft::{Instant as _, ServerState, async_runtime::watch::WatchReceiver, error::Fatal};

use super::RaftGroup;
use crate::consensus::{
    RaftId, Term,
    raft::types::{LogId, Membership, Raft, Types},
};

/// The replicas of a group, as one of them knows it. Both sets are empty until the replica heard of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Who votes; during a change of voters, the old and the new ones.
    pub voters: BTreeSet<RaftId>,
    /// Who follows the log without a vote.
    pub learners: BTreeSet<RaftId>,
    /// A change of voters is under way: both the old and the new voters must agree to everything.
    pub is_joint: bool,
    /// The voters before and after the change that is under way; otherwise one set.
    pub sets: Vec<BTreeSet<RaftId>>,
    /// A majority has it on disk, and this replica knows that: it will not be taken back.
    pub is_committed: bool,
    /// The index of the log entry that says so; 0 while there is none.
    pub at: u64,
}

impl Replicas {
    /// Whether `id` is a voter or a learner.
    #[must_use]
    pub fn contains(&self, id: RaftId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }
}

/// How far the replicas are, as their leader knows it. Indexes count from 0; a replica with an empty log is not in
/// [`matched`](Self::matched).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// The index of the leader's last entry.
    pub last_log: u64,
    /// The index of the last committed entry.
    pub committed: u64,
    /// Up to which index the log of a replica is known to be on its disk and equal to the leader's.
    pub matched: BTreeMap<RaftId, u64>,
    /// How many milliseconds ago the last message was sent that the other replica answered.
    pub heard_ms: BTreeMap<RaftId, u64>,
}

impl Replication {
    /// How many entries `id` lacks.
    #[must_use]
    pub fn lag(&self, id: RaftId) -> u64 {
        let next = |index: Option<&u64>| index.map_or(0, |index| index + 1);
        next(Some(&self.last_log)).saturating_sub(next(self.matched.get(&id)))
    }
}

impl RaftGroup {
    /// News of the replicas; the current value is always there.
    #[must_use]
    pub fn replicas(&self) -> watch::Receiver<Replicas> {
        self.inner.replicas.clone()
    }

    /// How far the replicas are, if this one leads.
    #[must_use]
    pub fn progress(&self) -> Option<Replication> {
        let metrics = self.inner.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<LogId>| id.map_or(0, |id| id.index());
        let matched = metrics.replication.as_ref()?.iter();
        let heard = metrics.heartbeat.iter().flatten();
        Some(Replication {
            last_log: index(&metrics.last_log),
            committed: index(&metrics.cluster_committed),
            matched: matched.filter_map(|(id, log)| Some((RaftId(*id), log.as_ref()?.index()))).collect(),
            heard_ms: heard
                .filter_map(|(id, sent)| Some((RaftId(*id), millis((*sent)?.into_inner().elapsed()))))
                .collect(),
        })
    }

    /// Whether this replica heard within `limit` that the group has a leader with a majority behind it: a leader from
    /// its majority, another replica from its leader.
    ///
    /// A follower believes its leader, so right after the leader lost its majority this may be true for
    /// `limit` plus an election.
    #[must_use]
    pub fn quorum_heard_within(&self, limit: Duration) -> bool {
        if !self.leads() {
            return self.inner.leader_heard.lock().is_some_and(|at| at.elapsed() <= limit);
        }
        let metrics = self.inner.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let acked = metrics.last_quorum_acked;
        // Nobody answers a leader that is the majority by itself.
        self.is_only_voter() || acked.is_some_and(|at| at.into_inner().elapsed() <= limit)
    }

    /// Whether this replica has applied everything that it knows to be committed, by itself as the leader or from one that
    /// it has heard since it was opened.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        if !self.leads() && self.inner.leader_heard.lock().is_none() {
            return false;
        }
        let metrics = self.inner.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<LogId>| id.map(|id| id.index());
        index(&metrics.cluster_committed)
            .is_some_and(|committed| index(&metrics.last_applied) >= Some(committed))
    }

    pub(super) fn leads(&self) -> bool {
        self.inner.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }

    pub(super) fn leads_in(&self, term: Term) -> bool {
        let metrics = self.inner.raft.server_metrics();
        let now = metrics.borrow_watched();
        now.state == ServerState::Leader && now.vote.leader_id.term == term.0
    }

    fn is_only_voter(&self) -> bool {
        self.inner.replicas.borrow().voters.iter().eq([&self.inner.own])
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Who the replicas are now, by the log. The news of openraft begin empty, and whoever opens a group must know at once whether others vote.
pub(super) async fn current(raft: &Raft) -> Result<Replicas, Fatal<Types>> {
    let replicas = raft.with_raft_state(|state| {
        let memberships = &state.membership_state;
        replicas_of(memberships.effective(), memberships.committed())
    });
    replicas.await
}

/// Publishes the replicas until consensus stops.
pub(super) async fn announce_replicas(raft: Raft, announce: watch::Sender<Replicas>) {
    let mut metrics = raft.server_metrics();
    loop {
        let news = {
            let now = metrics.borrow_watched();
            replicas_of(&now.membership_config, &now.committed_membership_config)
        };
        announce.send_if_modified(|current| std::mem::replace(current, news.clone()) != news);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

pub(super) fn sets_of(membership: &Membership) -> Vec<BTreeSet<RaftId>> {
    let sets = membership.membership().get_joint_config().iter();
    sets.map(|set| set.iter().copied().map(RaftId).collect()).collect()
}

fn replicas_of(effective: &Membership, committed: &Membership) -> Replicas {
    let membership = effective.membership();
    Replicas {
        voters: membership.voter_ids().map(RaftId).collect(),
        learners: membership.learner_ids().map(RaftId).collect(),
        is_joint: membership.get_joint_config().len() > 1,
        sets: sets_of(effective),
        is_committed: effective.log_id() == committed.log_id() && effective.log_id().is_some(),
        at: effective.log_id().as_ref().map_or(0, |id| id.index()),
    }
}
