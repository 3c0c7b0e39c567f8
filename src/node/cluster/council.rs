//! Finds the leader of the system group and gives it commands.

use std::time::Duration;

use playhouse_cluster::{
    consensus::{Group, Leadership, RaftId},
    environment::Environment,
    membership::{Command, Refusal},
    peering::Peering,
};

use super::{
    control::{self, Ask, Told},
    system::{ExecuteError, System},
};

/// Gives commands to the leader of the system group, wherever it is. A cheap handle.
#[derive(Clone)]
pub(in crate::node) struct Council {
    pub(in crate::node) system: System,
    /// `None`: a node without peers.
    pub(in crate::node) peering: Option<Peering>,
    pub(in crate::node) environment: Environment,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::node) enum SubmitError {
    /// Nothing changed.
    #[error("{0}")]
    Refused(Refusal),
    /// Nobody could be asked, or nobody answered: it may or may not have happened. Asking again is safe.
    #[error(
        "the cluster could not decide: {reason}; it has no majority, is electing a leader, or has too much to do. Try again"
    )]
    NoQuorum {
        /// What was seen last.
        reason: String,
    },
}

/// How long to wait before the leader is looked for again.
const AGAIN: Duration = Duration::from_millis(100);

impl Council {
    /// Has a command carried out. Returns the revision of the configuration after it.
    pub(in crate::node) async fn submit(
        &self,
        command: &Command,
        limit: Duration,
    ) -> Result<u64, SubmitError> {
        let deadline = self.environment.now() + limit;
        loop {
            // A replica whose disk hangs answers nothing, not even that it cannot.
            let reason = match tokio::time::timeout_at(deadline, self.try_submit(command)).await {
                Ok(Ok(revision)) => return Ok(revision),
                Ok(Err(ExecuteError::Refused(refusal))) => return Err(SubmitError::Refused(refusal)),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "nobody answered in time".to_owned(),
            };
            if self.environment.now() + AGAIN > deadline {
                return Err(SubmitError::NoQuorum { reason });
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_submit(&self, command: &Command) -> Result<u64, ExecuteError> {
        let leadership = *self.system.group().leadership().borrow();
        let leader = match leadership {
            Leadership::Leader { .. } => {
                return self.system.execute(command).await;
            }
            Leadership::Follower { leader } => leader,
            Leadership::Stopped => None,
        };
        let (Some(peering), Some(leader)) = (&self.peering, leader) else {
            return Err(ExecuteError::NotLeader { leader: None });
        };
        execute_at(peering, leader, command).await
    }
}

/// Has a command carried out by a certain peer.
pub(in crate::node) async fn execute_at(
    peering: &Peering,
    peer: RaftId,
    command: &Command,
) -> Result<u64, ExecuteError> {
    match control::ask(peering, peer, &Ask::Execute(command.clone())).await {
        Ok(Told::Executed { revision }) => Ok(revision),
        Ok(Told::NotExecuted(error)) => Err(error),
        Ok(_) => Err(ExecuteError::Unknown("the peer answered something else".to_owned())),
        Err(error) => Err(ExecuteError::Unknown(error.to_string())),
    }
}

/// Has a command carried out by the leader that a certain peer knows, or by itself.
pub(in crate::node) async fn execute_through(
    peering: &Peering,
    peer: RaftId,
    command: &Command,
) -> Result<u64, ExecuteError> {
    match execute_at(peering, peer, command).await {
        Err(ExecuteError::NotLeader { leader: Some(leader) }) => execute_at(peering, leader, command).await,
        answered => answered,
    }
}
