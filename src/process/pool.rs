//! Pools: workers that are alike and share jobs.
//!
//! Comes in: what somebody implements as [`Worker`], how many there are, and jobs. Leaves: [`PoolRef`], which answers each job, or says
//! why there is no answer: the worker crashed, there was no room, the pool ended, the time was over.
//!
//! ```
//! use std::time::Duration;
//! use playhouse::process::{CallError, ExitReason, Pool, Worker};
//! use ractor::ActorProcessingErr;
//!
//! struct Squares;
//!
//! impl Worker for Squares {
//!     type Job = u32;
//!     type Answer = u32;
//!     type State = ();
//!     type Arguments = ();
//!
//!     async fn start(&self, (): ()) -> Result<(), ActorProcessingErr> {
//!         Ok(())
//!     }
//!
//!     async fn work(&self, number: u32, (): &mut ()) -> Result<u32, ActorProcessingErr> {
//!         number.checked_mul(number).ok_or_else(|| "too large".into())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! const SECOND: Duration = Duration::from_secs(1);
//! let pool = Pool::new(2, |_| (Squares, ())).start().await.unwrap();
//! assert_eq!(pool.call(7, SECOND).await, Ok(49));
//!
//! // The worker crashes, and is replaced.
//! let died = CallError::Died(ExitReason::Crashed("too large".to_owned()));
//! assert_eq!(pool.call(u32::MAX, SECOND).await, Err(died));
//! assert_eq!(pool.call(8, SECOND).await, Ok(64));
//! pool.drain().await;
//! # }
//! ```
//!
//! A pool is a small tree: a *desk*, which knows which job is where, and the workers below a supervisor of their own. When
//! workers crash more often than [`intensity`](Pool::intensity) allows, the pool ends, and its own supervisor decides. What goes
//! where is pure (`plan`).
//!
//! A job is done at most once: one whose worker crashes is not given to another. `ractor`'s `factory` is not used:
//! `docs/decisions/0017-a-pool-of-our-own.md` says why.

mod contained;
mod desk;
mod plan;
mod worker;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use playhouse_cluster::environment::spawn_here;
use ractor::{ActorCell, ActorProcessingErr, SpawnErr};
use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinHandle,
};

use self::{
    contained::Contained,
    desk::{Desk, DeskMessage},
    plan::Plan,
    worker::{Hand, Place},
};
pub use self::{
    desk::PoolStats,
    plan::{Overflow, Routing},
};
use super::{
    Backoff, CallError, CastError, ChildSpec, ExitReason, Mailbox, Policy, Process, Reply, RequestError,
    SimpleOneForOne, SimpleOneForOneRef, StartChildError, StartError, Strategy, Supervisor, SupervisorRef,
    reference::answer,
    supervisor::{Leftovers, sealed},
};

/// How long a worker may take to start, unless somebody says otherwise.
const START_MAX: Duration = Duration::from_secs(30);
/// How long the desk may take to answer what is not a job, and the supervisor of the workers what takes no time.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// At least so many messages may be under way to the desk, however few jobs may wait.
const UNDER_WAY_MIN: usize = 1_000;
/// So many may ask at the same time how a pool is; others wait.
const LOOKING_MAX: usize = 16;
const DESK: &str = "desk";
const WORKERS: &str = "workers";

/// Does jobs, one at a time.
pub trait Worker: Send + Sync + Sized + 'static {
    /// What is to be done.
    type Job: Send + 'static;
    /// What comes of it.
    type Answer: Send + 'static;
    /// What it keeps from one job to the next, such as a connection.
    type State: Send + 'static;
    /// What it is started with.
    type Arguments: Send + 'static;

    /// Starts it.
    fn start(
        &self,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::State, ActorProcessingErr>> + Send;

    /// Does a job. An error or a panic ends the worker, and is the reason that the caller is told.
    fn work(
        &self,
        job: Self::Job,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<Self::Answer, ActorProcessingErr>> + Send;

    /// What the routings go by that look at jobs: [`key_of`] what identifies that which the job is about. It is called where the job
    /// is handed in: a panic is one of the caller.
    fn key(job: &Self::Job) -> u64 {
        let _ = job;
        0
    }
}

/// A number for what a job is about, the same in all runs.
#[must_use]
pub fn key_of(what: impl AsRef<[u8]>) -> u64 {
    xxhash_rust::xxh3::xxh3_64(what.as_ref())
}

/// Makes a worker, by its place.
type Make<W> = Arc<dyn Fn(usize) -> (W, <W as Worker>::Arguments) + Send + Sync>;

/// A pool that is not started yet. It can be the child of a supervisor ([`ChildSpec::supervisor`]).
#[must_use]
pub struct Pool<W: Worker> {
    size: usize,
    make: Make<W>,
    routing: Routing,
    overflow: Overflow,
    jobs_max: usize,
    work_max: Option<Duration>,
    start_max: Duration,
    intensity: (u32, Duration),
    backoff: Option<Backoff>,
}

impl<W: Worker> Pool<W> {
    /// So many workers, at least one, each made by its place, which counts from 0. A free one takes the next job; 1,000 jobs may
    /// wait, one more is refused; ten crashes within ten seconds are allowed; a worker may
    /// take 30 seconds to start.
    pub fn new(size: usize, make: impl Fn(usize) -> (W, W::Arguments) + Send + Sync + 'static) -> Self {
        Self {
            size: size.max(1),
            make: Arc::new(make),
            routing: Routing::default(),
            overflow: Overflow::default(),
            jobs_max: 1_000,
            work_max: None,
            start_max: START_MAX,
            intensity: (10, Duration::from_secs(10)),
            backoff: None,
        }
    }

    /// Which worker does which job.
    pub fn routing(self, routing: Routing) -> Self {
        Self { routing, ..self }
    }

    /// Bounds how many jobs may wait, those aside that workers are at, and says what happens to one too many.
    pub fn jobs_max(self, jobs_max: usize, overflow: Overflow) -> Self {
        Self { jobs_max, overflow, ..self }
    }

    /// A job may take so long; then its worker crashes. It is heard where the worker waits (`.await`).
    pub fn work_max(self, work_max: Duration) -> Self {
        Self { work_max: Some(work_max), ..self }
    }

    /// A worker may take so long to start; then its start has failed. The default is 30 seconds. Workers start one after the other.
    pub fn start_max(self, start_max: Duration) -> Self {
        Self { start_max, ..self }
    }

    /// As [`Supervisor::intensity`], of the workers.
    pub fn intensity(self, restarts: u32, period: Duration) -> Self {
        Self { intensity: (restarts, period), ..self }
    }

    /// As [`Supervisor::backoff`], of the workers.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff: Some(backoff), ..self }
    }

    /// Starts it, under no supervisor, and returns when all workers run.
    ///
    /// # Errors
    ///
    /// When a worker does not start; then none runs. If the future is dropped, none will run either.
    pub async fn start(self) -> Result<PoolRef<W>, StartError> {
        Ok(self.spawn(None, Arc::default()).await?.0)
    }

    async fn spawn(
        self,
        parent: Option<ActorCell>,
        below: Arc<Leftovers>,
    ) -> Result<(PoolRef<W>, JoinHandle<()>), SpawnErr> {
        let (size, start_max) = (self.size, self.start_max);
        let (supervisor, task) = self.tree().spawn(parent, Arc::clone(&below)).await?;
        let unfinished = Unfinished { supervisor: supervisor.clone(), task: Some(task), heir: below };
        match PoolRef::of(supervisor.clone(), size, start_max).await {
            Ok(pool) => Ok((pool, unfinished.finish())),
            Err(error) => {
                supervisor.stop_and_wait().await;
                Err(SpawnErr::StartupFailed(error.into()))
            }
        }
    }

    /// The desk and the place for workers. Neither is replaced alone: they would not know of each other.
    fn tree(self) -> Supervisor {
        let Self { size, make, routing, overflow, jobs_max, work_max, start_max, intensity, backoff } = self;
        // Those that are under way to the desk wait, too.
        let under_way_max = jobs_max.max(UNDER_WAY_MIN);
        let mailbox = Mailbox::new(Policy::Refuse).messages_max(under_way_max).bytes_max(usize::MAX);
        let desk = move || (Desk::<W>::new(), Plan::new(routing, overflow, jobs_max, size));
        let workers = move || {
            let make = Arc::clone(&make);
            let mailbox = Mailbox::new(Policy::Refuse).messages_max(1).bytes_max(usize::MAX);
            let hand = move |place: Place<W>| {
                let (worker, arguments) = make(place.number);
                (Hand { worker, work_max }, (place, arguments))
            };
            let workers = SimpleOneForOne::process(mailbox, hand).transient();
            let workers = workers.intensity(intensity.0, intensity.1).start_timeout(start_max);
            match backoff {
                Some(backoff) => workers.backoff(backoff),
                None => workers,
            }
        };
        Supervisor::new(Strategy::OneForAll)
            .intensity(0, Duration::from_secs(1))
            .auto_shutdown(super::AutoShutdown::AnySignificant)
            .child(ChildSpec::process(DESK, mailbox, desk).transient().significant())
            .child(ChildSpec::supervisor(WORKERS, workers))
    }
}

/// A pool whose workers are being started: it goes if nobody waits for that any more, and its end is left to who waits for ends.
struct Unfinished {
    supervisor: SupervisorRef,
    /// That of the supervisor. `None`: all workers run.
    task: Option<JoinHandle<()>>,
    heir: Arc<Leftovers>,
}

impl Unfinished {
    fn finish(mut self) -> JoinHandle<()> {
        self.task.take().expect("a start is finished once")
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.supervisor.kill();
            self.heir.add(task);
        }
    }
}

/// A reference to a pool that was started. Cheap to clone; it does not keep the pool alive.
pub struct PoolRef<W: Worker> {
    supervisor: SupervisorRef,
    desk: Process<DeskMessage<W>>,
    workers: SimpleOneForOneRef<Place<W>>,
    /// Held by who changes the size: places that one of two gives up would be missing in the count of the other.
    sizing: Arc<Mutex<()>>,
    /// Bounds how many questions are under way to the desk.
    looking: Arc<Semaphore>,
}

/// Why a pool has not got another size. It has as many workers as could be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// A pool has at least one worker.
    #[error("a pool has at least one worker")]
    Empty,
    /// A new worker did not start.
    #[error("a new worker did not start: {0}")]
    Start(ExitReason),
    /// The pool does not answer: it ends.
    #[error("the pool does not answer: {0}")]
    Unavailable(#[from] CallError),
}

impl<W: Worker> PoolRef<W> {
    /// Has the workers started that are still missing.
    async fn of(supervisor: SupervisorRef, size: usize, start_max: Duration) -> Result<Self, StartError> {
        let ended = || StartError::Interrupted(ExitReason::Shutdown);
        let desk = supervisor.child(DESK).await.map_err(|_| ended())?.reference().ok_or_else(ended)?;
        let workers = supervisor.child(WORKERS).await.map_err(|_| ended())?;
        let workers: SimpleOneForOneRef<Place<W>> = workers.reference().ok_or_else(ended)?;
        // A start that takes too long is to fail before whoever asked for it gives up.
        let workers = workers.with_timeout(start_max.saturating_add(REQUEST_WITHIN));
        let looking = Arc::new(Semaphore::new(LOOKING_MAX));
        let pool = Self { supervisor, desk, workers, sizing: Arc::default(), looking };
        for number in 0..size {
            let started = pool.start_worker(number).await;
            started.map_err(|reason| StartError::Child { id: format!("worker {number}"), reason })?;
        }
        Ok(pool)
    }

    async fn start_worker(&self, number: usize) -> Result<(), ExitReason> {
        let place = Place { number, desk: self.desk.clone() };
        match self.workers.start_child(place).await {
            Ok(_) => Ok(()),
            Err(StartChildError::Failed(reason)) => Err(reason),
            Err(other) => Err(ExitReason::crashed(other.to_string())),
        }
    }

    /// Has a job done and waits for its answer, all within `timeout`. A job whose caller has given up before it was begun is not done.
    ///
    /// # Errors
    ///
    /// [`CallError::Died`] with the reason of the worker, or of the pool if that ended; [`CallError::Full`] when too many jobs wait;
    /// [`CallError::NoProc`] when the pool has ended or drains; [`CallError::Timeout`].
    pub async fn call(&self, job: W::Job, timeout: Duration) -> Result<W::Answer, CallError> {
        // An answer is sent back by what began the job, so that the reason of its end is known.
        let (key, job) = (W::key(&job), Contained::new(job));
        let asked = |reply| DeskMessage::job(key, job, Some(reply));
        self.desk.call(asked, timeout).await
    }

    /// Hands in a job whose answer nobody waits for. If its worker crashes, or there is no room after all, that is
    /// counted: [`PoolStats`].
    ///
    /// # Errors
    ///
    /// When the pool has ended, and when too many jobs are on their way to it.
    pub fn cast(&self, job: W::Job) -> Result<(), CastError> {
        let (key, job) = (W::key(&job), Contained::new(job));
        self.desk.try_cast(DeskMessage::job(key, job, None))
    }

    /// Changes how many workers there are. Workers that are too many end what they and their key have begun. One change waits for
    /// another.
    ///
    /// # Errors
    ///
    /// [`ResizeError`]. If the future is dropped, the pool still gets its size.
    pub async fn resize(&self, size: usize) -> Result<(), ResizeError> {
        if size == 0 {
            return Err(ResizeError::Empty);
        }
        let pool = self.clone();
        let resized = spawn_here(async move { pool.resize_now(size).await }).await;
        resized.unwrap_or(Err(ResizeError::Unavailable(CallError::NoReply)))
    }

    async fn resize_now(&self, size: usize) -> Result<(), ResizeError> {
        let _sizing = self.sizing.lock().await;
        let missing = self.tell(|reply| DeskMessage::Resize(size, reply)).await?;
        for number in missing {
            if let Err(reason) = self.start_worker(number).await {
                // What waited for this one and those after it goes to others.
                let smaller = number.max(1);
                self.tell(|reply| DeskMessage::Resize(smaller, reply)).await?;
                return Err(ResizeError::Start(reason));
            }
        }
        Ok(())
    }

    /// How the pool is now, and what it has done.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn stats(&self) -> Result<PoolStats, CallError> {
        let asked = async {
            let looking = Arc::clone(&self.looking).acquire_owned().await;
            let looking = looking.map_err(|_| CallError::NoProc)?;
            self.tell(|reply| DeskMessage::Stats(reply, looking)).await
        };
        tokio::time::timeout(REQUEST_WITHIN, asked).await.unwrap_or(Err(CallError::Timeout))
    }

    /// How many workers run, those included that are about to leave.
    ///
    /// # Errors
    ///
    /// When their supervisor does not answer.
    pub async fn running(&self) -> Result<usize, RequestError> {
        Ok(self.workers.count_children().await?.active)
    }

    /// Takes no new jobs, ends those that it has, and ends. Returns when it has ended.
    pub async fn drain(&self) {
        // One that does not take it has ended, or is about to.
        let _ = self.tell(DeskMessage::Drain).await;
        self.supervisor.wait().await;
    }

    /// Tells the desk and waits until it has heard of it or has ended. Not counted as a message: there is always room for it. Each is
    /// from a caller that waits.
    async fn tell<T>(&self, news: impl FnOnce(Reply<T>) -> DeskMessage<W>) -> Result<T, CallError> {
        let desk = self.desk.here().ok_or(CallError::NoConnection)?;
        let (reply, answered) = Reply::new();
        desk.notify(news(reply), None).map_err(|_| CallError::NoProc)?;
        answer(desk.life(), answered).await
    }

    /// Asks it to stop and waits until it has. Workers have five seconds to end the jobs that they are at; those that wait fail.
    pub async fn stop_and_wait(&self) {
        self.supervisor.stop_and_wait().await;
    }

    /// Waits until it has ended, for whatever reason.
    pub async fn wait(&self) {
        self.supervisor.wait().await;
    }

    /// The actor behind it, to watch it or to link it.
    #[must_use]
    pub fn cell(&self) -> &ActorCell {
        self.supervisor.cell()
    }
}

impl<W: Worker> Clone for PoolRef<W> {
    fn clone(&self) -> Self {
        let Self { supervisor, desk, workers, sizing, looking } = self;
        let (desk, workers) = (desk.clone(), workers.clone());
        let (sizing, looking) = (Arc::clone(sizing), Arc::clone(looking));
        Self { supervisor: supervisor.clone(), desk, workers, sizing, looking }
    }
}

impl<W: Worker> fmt::Debug for PoolRef<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolRef").field(&self.supervisor.cell().get_id()).finish()
    }
}

impl<W: Worker> fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, routing, jobs_max, overflow, .. } = self;
        let mut debug = f.debug_struct("Pool");
        debug.field("size", size).field("routing", routing).field("jobs_max", jobs_max);
        debug.field("overflow", overflow).finish_non_exhaustive()
    }
}

impl<W: Worker> sealed::Tree for Pool<W> {
    type Reference = PoolRef<W>;

    fn spawn(
        self,
        parent: ActorCell,
        below: Arc<Leftovers>,
    ) -> impl Future<Output = Result<(Self::Reference, JoinHandle<()>), SpawnErr>> + Send {
        Pool::spawn(self, Some(parent), below)
    }

    fn cell(reference: &Self::Reference) -> ActorCell {
        reference.cell().clone()
    }
}
