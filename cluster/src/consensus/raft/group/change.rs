//! Changes of the replicas, and moves of leadership.
//!
//! Only the leader can do either. A change of voters goes through a joint configuration, in which the old and the
//! new voters must agree, so no two majorities ever act apart. It is two entries of the log; a leader that is lost
//! between them leaves the group in the joint configuration, where it works, and where the next leader finishes
//! the change when it is asked for it again.

use std::{collections::BTreeSet, future::Future, time::Duration};

use openraft::{
    ChangeMembers, EmptyNode,
    async_runtime::watch::WatchReceiver,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};

use super::{RaftGroup, Replication};
use crate::consensus::{RaftId, raft::types::Types};

/// Why the replicas were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Nothing happened. Ask the leader, or ask again when there is one.
    #[error("this replica does not lead, or has no majority behind it; the leader may be {leader:?}")]
    NotLeader {
        /// The leader, if known.
        leader: Option<RaftId>,
    },
    /// Nothing happened. Ask again when [`Replicas::is_committed`](super::Replicas::is_committed) is true.
    #[error("another change of the replicas is under way")]
    UnderWay,
    /// Nothing happened. Wait until it has the log, then ask again.
    #[error("replica {replica:?} cannot vote yet: it lacks {lag} entries")]
    NotCaughtUp {
        /// Which one.
        replica: RaftId,
        /// How many entries it lacks.
        lag: u64,
    },
    /// Nothing happened. With a voter that is not there the group might have no majority. Ask again when it is.
    #[error("replica {replica:?} cannot vote yet: it was not heard of lately")]
    NotHeard {
        /// Which one.
        replica: RaftId,
    },
    /// Nothing happened. Add it as a learner first.
    #[error("replica {replica:?} is no replica of this group")]
    Unknown {
        /// Which one.
        replica: RaftId,
    },
    /// Nothing happened.
    #[error("what was asked for is not possible: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It is not known how far it got; it may still happen. Watch [`RaftGroup::replicas`], and ask again.
    #[error("the change was not confirmed in time; it may still happen")]
    Unconfirmed,
    /// This replica has stopped; the change may still happen.
    #[error("this replica has stopped")]
    Stopped,
}

/// Why leadership was not handed on. It stays where it was, except with [`Stopped`](Self::Stopped).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This replica does not lead, so it has nothing to hand on.
    #[error("this replica does not lead")]
    NotLeader,
    /// Only voters can lead. Make it one first.
    #[error("replica {to:?} is not a voter")]
    NotVoter {
        /// To whom.
        to: RaftId,
    },
    /// It leads already.
    #[error("this replica leads already")]
    Own,
    /// Whoever is not there cannot lead. Choose another, or wait for it.
    #[error("replica {to:?} was not heard of lately")]
    NotHeard {
        /// To whom.
        to: RaftId,
    },
    /// Propose nothing for a moment, then try again.
    #[error("replica {to:?} lacks {lag} entries")]
    Behind {
        /// To whom.
        to: RaftId,
        /// How many entries it lacks.
        lag: u64,
    },
    /// This replica has stopped.
    #[error("this replica has stopped")]
    Stopped,
}

type Changed<T> = Result<T, RaftError<Types, ClientWriteError<Types>>>;

impl RaftGroup {
    /// Lets `id` follow the log without a vote; returns when that is committed. Nothing happens if it does already.
    /// `limit` bounds the wait.
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn add_learner(&self, id: RaftId, limit: Duration) -> Result<(), ChangeError> {
        let raft = self.inner.raft.clone();
        self.change(limit, async move { raft.add_learner(id.0, EmptyNode {}, false).await }).await
    }

    /// Drops the learner `id`; returns when that is committed. Nothing happens if it is no replica. `limit` bounds the
    /// wait.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; a voter is refused.
    pub async fn remove_learner(&self, id: RaftId, limit: Duration) -> Result<(), ChangeError> {
        let replicas = self.inner.replicas.borrow().clone();
        if replicas.voters.contains(&id) {
            return Err(ChangeError::Refused { reason: format!("{id:?} is a voter") });
        }
        if !replicas.learners.contains(&id) && replicas.is_committed {
            return Ok(());
        }
        let raft = self.inner.raft.clone();
        let remove = ChangeMembers::RemoveNodes([id.0].into());
        self.change(limit, async move { raft.change_membership(remove, true).await }).await
    }

    /// Makes exactly `voters` vote; returns when that is committed and the joint configuration is left again.
    /// Voters that are not in `voters` leave the group entirely. `limit` bounds the wait. Asking again with the same
    /// `voters` finishes a change that was interrupted.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; a new voter must be a learner that has (almost) the whole log, and the leader cannot remove
    /// itself.
    pub async fn change_voters(&self, voters: &BTreeSet<RaftId>, limit: Duration) -> Result<(), ChangeError> {
        if self.has_voters(voters) {
            return Ok(());
        }
        self.check_voters(voters)?;
        let raft = self.inner.raft.clone();
        let voters: BTreeSet<u64> = voters.iter().map(|id| id.0).collect();
        self.change(limit, async move { raft.change_membership(voters, false).await }).await
    }

    /// Hands leadership to `to`. Returns when the request was taken; watch [`Group::leadership`](crate::consensus::Group::leadership)
    /// for the result. From here on proposals are refused until somebody is elected, and openraft cannot take that
    /// back: so nothing happens unless `to` votes, was heard of lately, and has the whole log on disk.
    ///
    /// # Errors
    ///
    /// [`TransferError`].
    pub async fn transfer(&self, to: RaftId) -> Result<(), TransferError> {
        self.check_transfer(to)?;
        self.inner.raft.trigger().transfer_leader(to.0).await.map_err(|_| TransferError::Stopped)
    }

    fn has_voters(&self, voters: &BTreeSet<RaftId>) -> bool {
        let replicas = self.inner.replicas.borrow();
        self.leads() && replicas.is_committed && !replicas.is_joint && replicas.voters == *voters
    }

    fn check_voters(&self, voters: &BTreeSet<RaftId>) -> Result<(), ChangeError> {
        let progress = self.progress().ok_or_else(|| self.not_leader())?;
        if !voters.contains(&self.inner.own) {
            let reason = "the leader cannot remove itself; hand leadership on first".to_owned();
            return Err(ChangeError::Refused { reason });
        }
        let replicas = self.inner.replicas.borrow().clone();
        for replica in voters.difference(&replicas.voters).copied() {
            if !replicas.learners.contains(&replica) {
                return Err(ChangeError::Unknown { replica });
            }
            let lag = progress.lag(replica);
            if lag > self.inner.config.lag_max {
                return Err(ChangeError::NotCaughtUp { replica, lag });
            }
            // Of a short log a replica lacks little although it has nothing, and may not even be there.
            if !progress.matched.contains_key(&replica) || !self.is_heard(&progress, replica) {
                return Err(ChangeError::NotHeard { replica });
            }
        }
        Ok(())
    }

    /// Whether leadership could be handed to `to` now.
    ///
    /// # Errors
    ///
    /// [`TransferError`].
    pub fn check_transfer(&self, to: RaftId) -> Result<(), TransferError> {
        let progress = self.progress().ok_or(TransferError::NotLeader)?;
        if to == self.inner.own {
            return Err(TransferError::Own);
        }
        if !self.may_lead(to) {
            return Err(TransferError::NotVoter { to });
        }
        if !self.is_heard(&progress, to) {
            return Err(TransferError::NotHeard { to });
        }
        match progress.lag(to) {
            0 => Ok(()),
            lag => Err(TransferError::Behind { to, lag }),
        }
    }

    /// Whether a replica answered lately.
    fn is_heard(&self, progress: &Replication, id: RaftId) -> bool {
        let heard = progress.heard_ms.get(&id).copied().map(Duration::from_millis);
        heard.is_some_and(|heard| heard <= self.inner.config.election.0)
    }

    /// Whether `id` votes, and will after the change that is under way: whoever finishes it must stay.
    fn may_lead(&self, id: RaftId) -> bool {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_joint_config().last().is_some_and(|voters| voters.contains(&id.0))
    }

    /// Runs a change to its end, even if nobody waits for it any more: half of it would leave the group in the joint
    /// configuration.
    async fn change<T: Send + 'static>(
        &self,
        limit: Duration,
        change: impl Future<Output = Changed<T>> + Send + 'static,
    ) -> Result<(), ChangeError> {
        let change = self.inner.environment.spawn(change);
        match tokio::time::timeout(limit, change).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) => Err(self.explain(error)),
            Ok(Err(_)) => Err(ChangeError::Stopped),
            Err(_) => Err(ChangeError::Unconfirmed),
        }
    }

    fn explain(&self, error: RaftError<Types, ClientWriteError<Types>>) -> ChangeError {
        match error {
            RaftError::Fatal(_) => ChangeError::Stopped,
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
                ChangeError::NotLeader { leader: to.leader_id.map(RaftId) }
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => explain_change(error),
            // The second step found that the first was followed by another change.
            RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => ChangeError::UnderWay,
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => ChangeError::Unconfirmed,
        }
    }

    fn not_leader(&self) -> ChangeError {
        let leader = self.inner.raft.server_metrics().borrow_watched().current_leader;
        ChangeError::NotLeader { leader: leader.map(RaftId).filter(|leader| *leader != self.inner.own) }
    }
}

type LeaderId = openraft::alias::CommittedLeaderIdOf<Types>;

fn explain_change(error: ChangeMembershipError<LeaderId, u64>) -> ChangeError {
    match error {
        ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => {
            ChangeError::UnderWay
        }
        ChangeMembershipError::LearnerNotFound(error) => {
            ChangeError::Unknown { replica: RaftId(error.node_id) }
        }
        other => ChangeError::Refused { reason: other.to_string() },
    }
}
