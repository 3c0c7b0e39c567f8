//! How the node stands in its cluster: what decides whether it should be sent requests.

use std::time::Duration;

use playhouse_cluster::environment::watch;
use playhouse_cluster::{consensus::RaftId, membership::MemberState};

use super::cluster::council::Council;

/// How fresh the majority must be for the node to be ready.
const QUORUM_WITHIN: Duration = Duration::from_secs(5);

/// How the node stands in its cluster. A cheap handle.
#[derive(Clone)]
pub struct Standing {
    pub(super) council: Council,
    pub(super) own: RaftId,
    pub(super) has_reached: watch::Receiver<bool>,
}

/// Why the node should not be sent requests now. It changes by itself unless the text says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The configuration of the cluster is not known here, or does not name this volume.
    #[error("this node is not a member of a cluster yet")]
    NotMember,
    /// Its replicas lack what was committed while it was away.
    #[error("this node catches up with its cluster since its start")]
    NotReached,
    /// It has no part any more.
    #[error("this node has left the cluster for good; stop it")]
    Left,
    /// An operator, or its own end, has it give its leaderships away.
    #[error("this node is draining; `playhouse undrain` takes that back")]
    Draining,
    /// It serves nothing that needs agreement.
    #[error(
        "no majority of the cluster was heard within 5 s: nothing can be acknowledged here until enough other nodes \
         are up and reachable"
    )]
    NoQuorum,
}

impl Standing {
    /// Whether this start of the node has caught up once with everything that it should have.
    #[must_use]
    pub fn has_reached(&self) -> bool {
        *self.has_reached.borrow()
    }

    /// Whether a majority of the cluster was heard lately. What was acknowledged stays; a minority serves nothing.
    #[must_use]
    pub fn hears_quorum(&self) -> bool {
        self.council.system.group().quorum_heard_within(QUORUM_WITHIN)
    }

    /// Whether the node is a member that takes part, and reached all that it should have once since its start.
    ///
    /// # Errors
    ///
    /// [`Unfit`].
    pub fn check_member(&self) -> Result<(), Unfit> {
        let known = self.council.system.known().borrow().clone();
        let member = known.as_ref().and_then(|state| state.member(self.own)).ok_or(Unfit::NotMember)?;
        match member.state {
            MemberState::Left => Err(Unfit::Left),
            MemberState::Draining => Err(Unfit::Draining),
            _ if !self.has_reached() => Err(Unfit::NotReached),
            _ => Ok(()),
        }
    }

    /// Whether a majority of the cluster was heard lately.
    ///
    /// # Errors
    ///
    /// [`Unfit`].
    pub fn check_quorum(&self) -> Result<(), Unfit> {
        if self.hears_quorum() { Ok(()) } else { Err(Unfit::NoQuorum) }
    }
}
