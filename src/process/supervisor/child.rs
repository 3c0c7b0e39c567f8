//! A child specification: what a child is called, by which rules it lives, and how it is started.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use ractor::{Actor, ActorCell, SpawnErr};
use tokio::task::JoinHandle;

use super::{
    Tree,
    spec::{ChildRules, ChildType, Restart, Shutdown},
    task::{ChildTask, Leftovers},
};
use crate::process::{ExitReason, Mailbox, host, link::Peer, tidy::Tidy};

type StartFuture = Pin<Box<dyn Future<Output = Result<Started, SpawnErr>> + Send>>;

/// Starts a child, linked to its supervisor; what it leaves behind, if it is a supervisor itself, goes to that place.
pub(super) type StartFn = Arc<dyn Fn(ActorCell, Arc<Leftovers>) -> StartFuture + Send + Sync>;

/// A child that was started, and the task that it runs in.
type Started = (RunningChild, JoinHandle<()>);

/// A child that runs, or did when one asked.
#[derive(Clone)]
pub struct RunningChild {
    cell: ActorCell,
    reference: Arc<dyn Any + Send + Sync>,
    /// If it has a mailbox of ours: what is known of its end goes through here, too.
    peer: Option<Arc<dyn Peer>>,
}

impl RunningChild {
    pub(super) fn new<R: Any + Send + Sync>(cell: ActorCell, reference: R) -> Self {
        Self { cell, reference: Arc::new(reference), peer: None }
    }

    /// Asks it to stop.
    pub(super) fn shut_down(&self) {
        if let Some(peer) = &self.peer {
            peer.life().ask(ExitReason::Shutdown);
        }
        self.cell.stop(ExitReason::Shutdown.stop_text());
    }

    /// Why it ended, if it knows better than `ractor`: a linked process takes it along with its own reason.
    pub(in crate::process) fn exit(&self) -> Option<ExitReason> {
        self.peer.as_ref().and_then(|peer| peer.life().exit())
    }

    /// The actor behind it, whatever messages it takes.
    #[must_use]
    pub fn cell(&self) -> &ActorCell {
        &self.cell
    }

    /// The reference to send to: `Process<M>` of a process, `ActorRef<M>` of a worker,
    /// [`SupervisorRef`](super::SupervisorRef) of a supervisor. `None` if it is of another type.
    #[must_use]
    pub fn reference<R: Clone + 'static>(&self) -> Option<R> {
        self.reference.downcast_ref::<R>().cloned()
    }
}

impl fmt::Debug for RunningChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunningChild").field(&self.cell.get_id()).finish()
    }
}

/// How a supervisor starts, stops and restarts a child.
///
/// The defaults are OTP's: `permanent`, five seconds to stop for a worker, for ever for a supervisor.
///
/// ```
/// use std::time::Duration;
/// use playhouse::process::{ChildSpec, Shutdown};
/// # use ractor::{Actor, ActorProcessingErr, ActorRef};
/// # struct Cache;
/// # impl Actor for Cache {
/// #     type Msg = u64;
/// #     type State = ();
/// #     type Arguments = usize;
/// #     async fn pre_start(&self, _: ActorRef<u64>, _: usize) -> Result<(), ActorProcessingErr> { Ok(()) }
/// # }
///
/// // Called for each start: a fresh actor and its arguments.
/// let spec = ChildSpec::worker("cache", || (Cache, 1_000))
///     .transient()
///     .shutdown(Shutdown::Timeout(Duration::from_secs(1)));
/// assert_eq!(spec.id(), "cache");
/// ```
#[derive(Clone)]
pub struct ChildSpec {
    pub(super) id: Arc<str>,
    pub(super) rules: ChildRules,
    pub(super) start: StartFn,
}

impl ChildSpec {
    /// A process: an actor behind a bounded mailbox, with a reference that can be called, monitored and linked. `make` is called
    /// for each start; after a restart, it is another process.
    #[must_use]
    pub fn process<A, F>(id: impl Into<Arc<str>>, mailbox: Mailbox<A::Msg>, make: F) -> Self
    where
        A: Actor,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        Self::new(id.into(), ChildType::Worker, start_process(mailbox, make))
    }

    /// A `ractor` actor, as it is, with a mailbox without bounds. `make` is called for each start.
    #[must_use]
    pub fn worker<A, F>(id: impl Into<Arc<str>>, make: F) -> Self
    where
        A: Actor,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        Self::new(id.into(), ChildType::Worker, start_actor(make))
    }

    /// A supervisor with children of its own: a [`Supervisor`](super::Supervisor) or a
    /// [`SimpleOneForOne`](super::SimpleOneForOne). `make` is called for each start.
    #[must_use]
    pub fn supervisor<S, F>(id: impl Into<Arc<str>>, make: F) -> Self
    where
        S: Tree,
        F: Fn() -> S + Send + Sync + 'static,
    {
        let make = Arc::new(make);
        let start: StartFn = Arc::new(move |parent, below| {
            let make = Arc::clone(&make);
            Box::pin(async move {
                let (reference, task) = S::spawn(make(), parent, below).await?;
                Ok((RunningChild::new(S::cell(&reference), reference), task))
            })
        });
        Self::new(id.into(), ChildType::Supervisor, start)
    }

    fn new(id: Arc<str>, child_type: ChildType, start: StartFn) -> Self {
        Self { id, rules: ChildRules::of(child_type), start }
    }

    /// It is always started again. The default.
    #[must_use]
    pub fn permanent(self) -> Self {
        self.restart(Restart::Permanent)
    }

    /// It is started again when it ended abnormally.
    #[must_use]
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// It is never started again.
    #[must_use]
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rules.restart = restart;
        self
    }

    /// How it is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rules.shutdown = shutdown;
        self
    }

    /// Its end can be the end of its supervisor; see [`AutoShutdown`](super::AutoShutdown).
    #[must_use]
    pub fn significant(mut self) -> Self {
        self.rules.significant = true;
        self
    }

    /// A start that takes longer has failed: it is broken off, and what had been started below it is killed and waited for. Without it,
    /// the supervisor waits for ever.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.rules.start_timeout = Some(timeout);
        self
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// By which rules it lives.
    #[must_use]
    pub fn rules(&self) -> &ChildRules {
        &self.rules
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("id", &self.id).field("rules", &self.rules).finish_non_exhaustive()
    }
}

pub(super) fn start_actor<A, F>(make: F) -> StartFn
where
    A: Actor,
    F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
{
    let make = Arc::new(make);
    Arc::new(move |supervisor, _| {
        let make = Arc::clone(&make);
        Box::pin(async move {
            let (actor, arguments) = make();
            let (child, task) = Tidy::spawn_linked(None, Tidy(actor), arguments, supervisor).await?;
            Ok((RunningChild::new(child.get_cell(), child), task))
        })
    })
}

pub(super) fn start_process<A, F>(mailbox: Mailbox<A::Msg>, make: F) -> StartFn
where
    A: Actor,
    F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
{
    let make = Arc::new(make);
    Arc::new(move |supervisor, _| {
        let (make, mailbox) = (Arc::clone(&make), mailbox.clone());
        Box::pin(async move {
            let (actor, arguments) = make();
            let (process, task) = host::start(actor, arguments, mailbox, Some(supervisor)).await?;
            let (peer, cell) = (process.peer_here(), process.cell());
            let cell = cell.expect("what is started here lives here");
            Ok((RunningChild { peer, ..RunningChild::new(cell, process) }, task))
        })
    })
}

/// Starts a child and says why it could not be: what it said, what its maker panicked with, or that it took too long. Then nothing
/// is left of it.
pub(super) async fn start(
    start: &StartFn,
    timeout: Option<Duration>,
    supervisor: ActorCell,
    heir: &Arc<Leftovers>,
) -> Result<(RunningChild, ChildTask), ExitReason> {
    let mut task = ChildTask::new(heir);
    match try_start(start(supervisor, task.below()), timeout).await {
        Ok((running, runs_in)) => {
            task.runs_in(runs_in);
            Ok((running, task))
        }
        Err(reason) => {
            task.gone().await;
            Err(reason)
        }
    }
}

async fn try_start(start: StartFuture, timeout: Option<Duration>) -> Result<Started, ExitReason> {
    let started = AssertUnwindSafe(start).catch_unwind();
    let outcome = match timeout {
        None => started.await,
        Some(timeout) => tokio::time::timeout(timeout, started)
            .await
            .map_err(|_| ExitReason::crashed(format!("did not start within {timeout:?}")))?,
    };
    outcome
        .map_err(|panic| ExitReason::of_panic(panic.as_ref()))?
        .map_err(|error| ExitReason::of_start(&error))
}
