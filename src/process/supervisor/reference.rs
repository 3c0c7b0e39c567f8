//! A supervisor from outside: what an operator can ask it, and how it is ended.

use std::{fmt, sync::Arc, time::Duration};

use ractor::{ActorCell, ActorRef};
use tokio::sync::{Semaphore, oneshot};

use super::{
    child::{ChildSpec, RunningChild},
    decisions::{Counts, Refusal},
    error::{
        DeleteChildError, FindChildError, RequestError, RestartChildError, StartChildError,
        TerminateChildError,
    },
    request::{Answer, ChildView, Failure, Message, Request, SupervisorView},
    spec::ChildRules,
};
use crate::process::ExitReason;

/// How many requests may wait for a supervisor.
const REQUESTS_MAX: usize = 1024;

/// How long a request waits for its answer, unless one says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A reference to a supervisor that was started. Cheap to clone; it does not keep the supervisor alive.
///
/// A supervisor does one thing at a time: while it waits for a child to start or to stop, requests wait for it. A child must not
/// ask its own supervisor while it starts or stops.
#[derive(Clone)]
pub struct SupervisorRef {
    actor: ActorRef<Message>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl SupervisorRef {
    pub(super) fn new(actor: ActorRef<Message>) -> Self {
        Self { actor, permits: Arc::new(Semaphore::new(REQUESTS_MAX)), timeout: TIMEOUT }
    }

    /// The same, with requests that wait so long for their answer. The default is 30 seconds.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Adds a child at the right end and starts it.
    ///
    /// # Errors
    ///
    /// When a child of its id is known, and when it does not start: then it is forgotten.
    pub async fn start_child(&self, child: ChildSpec) -> Result<RunningChild, StartChildError> {
        let answer = self.ask(|answer| Request::StartChild(child, answer)).await?;
        answer.map_err(StartChildError::from)
    }

    /// Stops a child by its rule. Its specification stays, for [`restart_child`](Self::restart_child), unless it is temporary.
    ///
    /// # Errors
    ///
    /// When there is none of this id.
    pub async fn terminate_child(&self, id: &str) -> Result<(), TerminateChildError> {
        let answer = self.ask(|answer| Request::Terminate(id.into(), answer)).await?;
        answer.map_err(|_| TerminateChildError::NotFound)
    }

    /// Starts a child that does not run. It does not count as a restart.
    ///
    /// # Errors
    ///
    /// When it runs, or is being restarted, or does not start: then its specification stays.
    pub async fn restart_child(&self, id: &str) -> Result<RunningChild, RestartChildError> {
        let answer = self.ask(|answer| Request::Restart(id.into(), answer)).await?;
        answer.map_err(RestartChildError::from)
    }

    /// Forgets a child that does not run.
    ///
    /// # Errors
    ///
    /// When it runs, or is being restarted.
    pub async fn delete_child(&self, id: &str) -> Result<(), DeleteChildError> {
        let answer = self.ask(|answer| Request::Delete(id.into(), answer)).await?;
        answer.map_err(DeleteChildError::from)
    }

    /// All children, in the order in which they are started.
    ///
    /// # Errors
    ///
    /// When the supervisor does not answer.
    pub async fn which_children(&self) -> Result<Vec<ChildView>, RequestError> {
        self.look(Request::Which).await
    }

    /// How many children there are.
    ///
    /// # Errors
    ///
    /// When the supervisor does not answer.
    pub async fn count_children(&self) -> Result<Counts, RequestError> {
        self.look(Request::Count).await
    }

    /// By which rules a child lives.
    ///
    /// # Errors
    ///
    /// When there is none of this id.
    pub async fn child_rules(&self, id: &str) -> Result<ChildRules, FindChildError> {
        let answer = self.ask(|answer| Request::Rules(id.into(), answer)).await?;
        answer.map_err(|_| FindChildError::NotFound)
    }

    /// The child of this id, as it runs now. After a restart it is another one.
    ///
    /// # Errors
    ///
    /// When there is none, or when it does not run.
    pub async fn child(&self, id: &str) -> Result<RunningChild, FindChildError> {
        let answer = self.ask(|answer| Request::Find(id.into(), answer)).await?;
        answer.map_err(|_| FindChildError::NotFound)?.ok_or(FindChildError::NotRunning)
    }

    /// The actor behind it, to watch it or to link it.
    #[must_use]
    pub fn cell(&self) -> &ActorCell {
        &self.actor
    }

    /// Asks it to stop: children first, from right to left, each by its rule.
    pub fn stop(&self) {
        self.actor.stop(ExitReason::Shutdown.stop_text());
    }

    /// Asks it to stop and waits until it has. How long that takes is up to the rules of its children.
    pub async fn stop_and_wait(&self) {
        self.stop();
        self.wait().await;
    }

    /// Waits until it has ended, for whatever reason.
    pub async fn wait(&self) {
        let _ = self.actor.wait(None).await;
    }

    /// Kills it, and with it all that is below it.
    pub fn kill(&self) {
        self.actor.kill();
    }

    /// How it is, with at most so many of its children.
    pub(in crate::process) async fn look_at(
        &self,
        children_max: usize,
    ) -> Result<SupervisorView, RequestError> {
        self.look(|answer| Request::Look(children_max, answer)).await
    }

    pub(super) async fn ask<T>(
        &self,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<Result<T, Failure>, RequestError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| RequestError::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let message = Message::Asked(make(answer), permit);
        self.actor.send_message(message).map_err(|_| RequestError::NoProc)?;
        let answered = tokio::time::timeout(self.timeout, answered).await;
        answered.map_err(|_| RequestError::Timeout)?.map_err(|_| RequestError::NoProc)
    }

    async fn look<T>(&self, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, RequestError> {
        // Looking is never refused.
        self.ask(make).await?.map_err(|_| RequestError::NoProc)
    }
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SupervisorRef").field(&self.actor.get_id()).finish()
    }
}

impl From<Failure> for StartChildError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::AlreadyStarted) => Self::AlreadyStarted,
            Failure::Refused(Refusal::Full) => Self::TooManyChildren,
            Failure::Refused(Refusal::Spec(error)) => Self::Spec(error),
            Failure::Refused(_) => Self::AlreadyPresent,
            Failure::Start(reason) => Self::Failed(reason),
        }
    }
}

impl From<Failure> for RestartChildError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::Running) => Self::Running,
            Failure::Refused(Refusal::Restarting) => Self::Restarting,
            Failure::Refused(_) => Self::NotFound,
            Failure::Start(reason) => Self::Failed(reason),
        }
    }
}

impl From<Failure> for DeleteChildError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::Running) => Self::Running,
            Failure::Refused(Refusal::Restarting) => Self::Restarting,
            Failure::Refused(_) | Failure::Start(_) => Self::NotFound,
        }
    }
}
