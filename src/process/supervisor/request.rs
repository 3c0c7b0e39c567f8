//! What a supervisor is asked, and the messages in its mailbox.

use std::sync::Arc;

use ractor::ActorId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    child::{ChildSpec, RunningChild, StartFn},
    decisions::{ChildKey, Counts, Refusal},
    spec::{ChildRules, ChildType},
};
use crate::process::ExitReason;

/// What comes into the mailbox of a supervisor.
pub(super) enum Message {
    /// An operator asks. The permit says that there are not too many.
    Asked(Request, OwnedSemaphorePermit),
    /// A restart is due.
    TimerFired { key: ChildKey, attempt: u64 },
}

impl ractor::Message for Message {}

/// Why a request was not done.
pub(super) enum Failure {
    Refused(Refusal),
    /// The child did not start.
    Start(ExitReason),
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, Failure>>;

/// What an operator asks.
pub(super) enum Request {
    StartChild(ChildSpec, Answer<RunningChild>),
    StartDynamic(ChildRules, StartFn, Answer<RunningChild>),
    Terminate(Arc<str>, Answer<()>),
    TerminateActor(ActorId, Answer<()>),
    Restart(Arc<str>, Answer<RunningChild>),
    Delete(Arc<str>, Answer<()>),
    Rules(Arc<str>, Answer<ChildRules>),
    /// `None`: it does not run.
    Find(Arc<str>, Answer<Option<RunningChild>>),
    Which(Answer<Vec<ChildView>>),
    Count(Answer<Counts>),
    /// How it is, with at most so many of its children.
    Look(usize, Answer<SupervisorView>),
}

/// A supervisor as those see it who look after the node.
pub(in crate::process) struct SupervisorView {
    /// In OTP's words.
    pub(in crate::process) strategy: &'static str,
    /// How many restarts there were since it began.
    pub(in crate::process) restarts: u64,
    /// The first of its children, in the order in which they are started.
    pub(in crate::process) children: Vec<ChildView>,
    /// How many children it has beside these.
    pub(in crate::process) more: usize,
}

/// A child as `which_children` tells of it.
#[derive(Clone, Debug)]
pub struct ChildView {
    /// What it is called; children of `simple_one_for_one` have no ids.
    pub id: Option<Arc<str>>,
    /// How it is.
    pub status: ChildStatus,
    /// What it is.
    pub child_type: ChildType,
}

/// How a child is.
#[derive(Clone, Debug)]
pub enum ChildStatus {
    /// It runs.
    Running(RunningChild),
    /// It ended and waits for its next start.
    Restarting,
    /// It does not run, and nobody starts it but an operator, or the restart of a sibling that it belongs to.
    Stopped,
}

impl ChildStatus {
    /// The child, if it runs.
    #[must_use]
    pub fn running(&self) -> Option<&RunningChild> {
        match self {
            Self::Running(child) => Some(child),
            Self::Restarting | Self::Stopped => None,
        }
    }
}
