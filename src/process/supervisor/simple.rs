//! `simple_one_for_one`: any number of children of one kind, each started with an argument of its own.

use std::{fmt, sync::Arc, time::Duration};

use ractor::{Actor, ActorCell, SpawnErr};
use tokio::task::JoinHandle;

use super::{
    Backoff, Supervisor,
    child::{RunningChild, StartFn, start_actor, start_process},
    decisions::Counts,
    error::{RequestError, StartChildError, StartError, TerminateChildError},
    reference::SupervisorRef,
    request::{ChildView, Request},
    sealed,
    spec::{AutoShutdown, ChildRules, ChildType, Restart, Shutdown, Strategy},
    task::Leftovers,
};

use crate::process::Mailbox;

/// Makes the start of a child from its argument.
type Template<G> = Arc<dyn Fn(G) -> StartFn + Send + Sync>;

/// A supervisor of children that are all alike, not started yet.
///
/// It begins without children. When it ends, it stops all of them at the same time. A child is restarted with the argument that
/// it was started with.
///
/// ```
/// # use ractor::{Actor, ActorProcessingErr, ActorRef};
/// # struct Connection;
/// # impl Actor for Connection {
/// #     type Msg = u64;
/// #     type State = ();
/// #     type Arguments = u16;
/// #     async fn pre_start(&self, _: ActorRef<u64>, _: u16) -> Result<(), ActorProcessingErr> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use playhouse::process::SimpleOneForOne;
///
/// let connections = SimpleOneForOne::worker(|number: u16| (Connection, number)).temporary().start().await.unwrap();
/// let first = connections.start_child(1).await.unwrap();
/// connections.start_child(2).await.unwrap();
/// assert_eq!(connections.count_children().await.unwrap().active, 2);
/// connections.terminate_child(&first).await.unwrap();
/// assert_eq!(connections.count_children().await.unwrap().active, 1);
/// # }
/// ```
#[must_use]
pub struct SimpleOneForOne<G> {
    supervisor: Supervisor,
    rules: ChildRules,
    template: Template<G>,
}

impl<G: Clone + Send + Sync + 'static> SimpleOneForOne<G> {
    /// Its children are processes with bounded mailboxes. `make` is called for each start, with the child's argument.
    pub fn process<A, F>(mailbox: Mailbox<A::Msg>, make: F) -> Self
    where
        A: Actor,
        F: Fn(G) -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let make = Arc::new(make);
        Self::new(Arc::new(move |argument: G| {
            let make = Arc::clone(&make);
            start_process(mailbox.clone(), move || make(argument.clone()))
        }))
    }

    /// Its children are `ractor` actors, as they are. `make` is called for each start, with the child's argument.
    pub fn worker<A, F>(make: F) -> Self
    where
        A: Actor,
        F: Fn(G) -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let make = Arc::new(make);
        Self::new(Arc::new(move |argument: G| {
            let make = Arc::clone(&make);
            start_actor(move || make(argument.clone()))
        }))
    }

    fn new(template: Template<G>) -> Self {
        let supervisor = Supervisor { dynamic: true, ..Supervisor::new(Strategy::OneForOne) };
        Self { supervisor, rules: ChildRules::of(ChildType::Worker), template }
    }

    /// When a child is started again. The default is `permanent`.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rules.restart = restart;
        self
    }

    /// Children are started again when they ended abnormally.
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Children are never started again.
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// How a child is stopped. The default is five seconds.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rules.shutdown = shutdown;
        self
    }

    /// All children are significant; see [`AutoShutdown`].
    pub fn significant(mut self) -> Self {
        self.rules.significant = true;
        self
    }

    /// A start that takes longer has failed.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.rules.start_timeout = Some(timeout);
        self
    }

    /// As [`Supervisor::intensity`].
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.supervisor = self.supervisor.intensity(restarts, period);
        self
    }

    /// As [`Supervisor::auto_shutdown`].
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.supervisor = self.supervisor.auto_shutdown(auto_shutdown);
        self
    }

    /// As [`Supervisor::backoff`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.supervisor = self.supervisor.backoff(backoff);
        self
    }

    /// As [`Supervisor::children_max`].
    pub fn children_max(mut self, children_max: usize) -> Self {
        self.supervisor = self.supervisor.children_max(children_max);
        self
    }

    /// Starts it, under no supervisor.
    ///
    /// # Errors
    ///
    /// When the rules of its children contradict its own.
    pub async fn start(self) -> Result<SimpleOneForOneRef<G>, StartError> {
        Ok(self.spawn(None, Arc::default()).await?.0)
    }

    /// Starts it as a child of a `ractor` actor.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when the parent ends.
    pub async fn start_linked(self, parent: ActorCell) -> Result<SimpleOneForOneRef<G>, StartError> {
        Ok(self.spawn(Some(parent), Arc::default()).await?.0)
    }

    async fn spawn(
        self,
        parent: Option<ActorCell>,
        below: Arc<Leftovers>,
    ) -> Result<(SimpleOneForOneRef<G>, JoinHandle<()>), SpawnErr> {
        let Self { supervisor, rules, template } = self;
        let checked = supervisor.flags.check(&rules);
        checked.map_err(|error| {
            let id = "simple_one_for_one".to_owned();
            SpawnErr::StartupFailed(StartError::Spec { id, error }.into())
        })?;
        let (supervisor, task) = supervisor.spawn(parent, below).await?;
        Ok((SimpleOneForOneRef { supervisor, rules, template }, task))
    }
}

impl<G> fmt::Debug for SimpleOneForOne<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, rules, .. } = self;
        f.debug_struct("SimpleOneForOne")
            .field("flags", &supervisor.flags)
            .field("rules", rules)
            .finish_non_exhaustive()
    }
}

/// A reference to a `simple_one_for_one` supervisor that was started.
pub struct SimpleOneForOneRef<G> {
    supervisor: SupervisorRef,
    rules: ChildRules,
    template: Template<G>,
}

impl<G> SimpleOneForOneRef<G> {
    /// Starts one more child.
    ///
    /// # Errors
    ///
    /// When it does not start, and when there are as many as there may be.
    pub async fn start_child(&self, argument: G) -> Result<RunningChild, StartChildError> {
        let start = (self.template)(argument);
        let answer = self.supervisor.ask(|answer| Request::StartDynamic(self.rules, start, answer)).await?;
        answer.map_err(StartChildError::from)
    }

    /// Stops a child and forgets it.
    ///
    /// # Errors
    ///
    /// When it is no child of this supervisor, or does not run any more.
    pub async fn terminate_child(&self, child: &RunningChild) -> Result<(), TerminateChildError> {
        let actor = child.cell().get_id();
        let answer = self.supervisor.ask(|answer| Request::TerminateActor(actor, answer)).await?;
        answer.map_err(|_| TerminateChildError::NotFound)
    }

    /// All children, in the order in which they were started first.
    ///
    /// # Errors
    ///
    /// When the supervisor does not answer.
    pub async fn which_children(&self) -> Result<Vec<ChildView>, RequestError> {
        self.supervisor.which_children().await
    }

    /// How many children there are.
    ///
    /// # Errors
    ///
    /// When the supervisor does not answer.
    pub async fn count_children(&self) -> Result<Counts, RequestError> {
        self.supervisor.count_children().await
    }

    /// The same, with requests that wait so long for their answer. The default is 30 seconds.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { supervisor: self.supervisor.with_timeout(timeout), ..self }
    }

    /// The actor behind it, to watch it or to link it.
    #[must_use]
    pub fn cell(&self) -> &ActorCell {
        self.supervisor.cell()
    }

    /// Asks it to stop: all children first, at the same time.
    pub fn stop(&self) {
        self.supervisor.stop();
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop_and_wait(&self) {
        self.supervisor.stop_and_wait().await;
    }

    /// Waits until it has ended, for whatever reason.
    pub async fn wait(&self) {
        self.supervisor.wait().await;
    }

    /// Kills it, and with it all that is below it.
    pub fn kill(&self) {
        self.supervisor.kill();
    }
}

impl<G> Clone for SimpleOneForOneRef<G> {
    fn clone(&self) -> Self {
        Self { supervisor: self.supervisor.clone(), rules: self.rules, template: Arc::clone(&self.template) }
    }
}

impl<G> fmt::Debug for SimpleOneForOneRef<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimpleOneForOneRef").field(&self.supervisor.cell().get_id()).finish()
    }
}

impl<G: Clone + Send + Sync + 'static> sealed::Tree for SimpleOneForOne<G> {
    type Reference = SimpleOneForOneRef<G>;

    fn spawn(
        self,
        parent: ActorCell,
        below: Arc<Leftovers>,
    ) -> impl Future<Output = Result<(Self::Reference, JoinHandle<()>), SpawnErr>> + Send {
        SimpleOneForOne::spawn(self, Some(parent), below)
    }

    fn cell(reference: &Self::Reference) -> ActorCell {
        reference.cell().clone()
    }
}
