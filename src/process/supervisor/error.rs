//! Why a supervisor did not start, or did not do what an operator asked.

use ractor::SpawnErr;

use super::spec::SpecError;
use crate::process::ExitReason;

/// Why a supervisor did not start. None of its children runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A child could not be started. Those before it were stopped again, from right to left.
    #[error("child {id:?} did not start: {reason}")]
    Child {
        /// Which one.
        id: String,
        /// What it said.
        reason: ExitReason,
    },
    /// Two children have the same id. Nothing was started.
    #[error("two children are called {id:?}: ids are unique within a supervisor")]
    DuplicateId {
        /// Their id.
        id: String,
    },
    /// A child specification makes no sense. Nothing was started.
    #[error("child {id:?}: {error}")]
    Spec {
        /// Whose.
        id: String,
        /// What is wrong with it.
        #[source]
        error: SpecError,
    },
    /// There are more children than the supervisor may have. Nothing was started.
    #[error("there are more than {children_max} children: raise children_max")]
    TooManyChildren {
        /// The bound.
        children_max: usize,
    },
    /// The one who should have become its parent ends, or it was killed while it started.
    #[error("did not start: {0}")]
    Interrupted(ExitReason),
}

impl From<SpawnErr> for StartError {
    fn from(error: SpawnErr) -> Self {
        let SpawnErr::StartupFailed(error) = error else {
            return Self::Interrupted(ExitReason::of_start(&error));
        };
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self::Interrupted(ExitReason::of_failure(&error)),
        }
    }
}

/// Why a supervisor gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It does not run, or ended before it answered. What it did about the request ended with it.
    #[error("the supervisor does not run (noproc)")]
    NoProc,
    /// It did not answer in time. It may still do what was asked: look with `which_children`.
    #[error("the supervisor did not answer in time; it may still do what was asked")]
    Timeout,
    /// Too many requests wait for it. This one was not made; try again later.
    #[error("too many requests wait for the supervisor; this one was not made")]
    Overloaded,
}

/// Why there is no new child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child of this id is known but does not run. Nothing was done; use `restart_child` or `delete_child`.
    #[error("a child of this id is known and does not run")]
    AlreadyPresent,
    /// A child of this id runs. Nothing was done.
    #[error("a child of this id runs")]
    AlreadyStarted,
    /// It did not start, and is forgotten.
    #[error("the child did not start: {0}")]
    Failed(ExitReason),
    /// There are as many children as there may be. Nothing was done.
    #[error("the supervisor has as many children as it may have")]
    TooManyChildren,
    /// The specification makes no sense. Nothing was done.
    #[error(transparent)]
    Spec(SpecError),
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a child was not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateChildError {
    /// There is no such child. Nothing was done.
    #[error("there is no such child")]
    NotFound,
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a child was not started again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// There is no such child. Nothing was done.
    #[error("there is no such child")]
    NotFound,
    /// It runs. Nothing was done.
    #[error("the child runs")]
    Running,
    /// Its restart is waited for. Nothing was done.
    #[error("the child is being restarted")]
    Restarting,
    /// It did not start. Its specification stays.
    #[error("the child did not start: {0}")]
    Failed(ExitReason),
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a child specification was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// There is no such child. Nothing was done.
    #[error("there is no such child")]
    NotFound,
    /// It runs. Nothing was done; stop it first.
    #[error("the child runs: stop it first")]
    Running,
    /// Its restart is waited for. Nothing was done; stop it first.
    #[error("the child is being restarted: stop it first")]
    Restarting,
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a child was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindChildError {
    /// There is no child of this id.
    #[error("there is no such child")]
    NotFound,
    /// It does not run; it may be about to be restarted.
    #[error("the child does not run")]
    NotRunning,
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}
