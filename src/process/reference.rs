//! References to processes: what one sends to, watches and ends.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ractor::{ActorCell, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    CallError, CastError, Down, Exit, ExitReason, Mailbox, MailboxStats, Monitor, MonitorError, MonitorId,
    Policy, Reply, Timer, TimerError,
    life::{Life, Mourners, contain},
    link::{self, Peer},
    mailbox::{Asked, Queue, Rejected, Taken},
    monitor, timer,
};

/// Names a process on its node, for as long as the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(u64);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `ractor` is told for each message: there is one.
pub(super) struct Token;

impl ractor::Message for Token {}

tokio::task_local! {
    /// The process whose handler runs: an `Arc<Inner<M>>`.
    static CURRENT: Arc<dyn Any + Send + Sync>;
}

/// A process, whoever holds it: its actor, its mailbox, its life.
pub(super) struct Inner<M> {
    /// Set when it starts.
    actor: OnceLock<ActorRef<Token>>,
    queue: Queue<M>,
    life: Life,
    monitors_given: AtomicU64,
    /// Makes a message of the end of a linked process.
    trap: Mutex<Option<Trap<M>>>,
}

type Trap<M> = Arc<dyn Fn(Exit) -> M + Send + Sync>;

impl<M: Send + 'static> Inner<M> {
    pub(super) fn new(mailbox: Mailbox<M>) -> Self {
        Self {
            actor: OnceLock::new(),
            queue: Queue::new(mailbox),
            life: Life::new(),
            monitors_given: AtomicU64::new(0),
            trap: Mutex::new(None),
        }
    }

    /// It is being started.
    pub(super) fn begin(&self, actor: ActorRef<Token>) {
        let bell = actor.clone();
        let first = self.actor.set(actor);
        debug_assert!(first.is_ok(), "a process is started once");
        self.queue.open(Box::new(move || bell.send_message(Token).is_ok()));
    }

    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// What is to be done about a token.
    pub(super) fn take(&self) -> Taken<M> {
        self.queue.take()
    }

    /// Its last handler has returned.
    pub(super) fn end_well(&self) {
        self.end(Life::end_well);
    }

    /// It is gone, whatever happened.
    pub(super) fn end_anyhow(&self) {
        self.end(Life::end_anyhow);
    }

    fn end(&self, end: impl FnOnce(&Life) -> Option<Mourners>) {
        // Whoever knows that it has ended cannot send to it any more.
        self.queue.close_entrance();
        if let Some(mourners) = end(&self.life) {
            contain(self.id(), || self.queue.close());
            contain(self.id(), || self.forget_trap());
            mourners.tell(self.id());
        }
    }

    /// A trap often holds a reference to its own process; both would stay for ever.
    fn forget_trap(&self) {
        let trap = self.trap.lock().take();
        // It may hold a reference to anything, so it is not dropped under the lock.
        drop(trap);
    }

    /// Ends it at once, for this reason.
    pub(super) fn crash(&self, reason: ExitReason) {
        self.life.judge(reason);
        self.actor().kill();
    }

    pub(super) fn next_monitor(&self) -> MonitorId {
        MonitorId(self.monitors_given.fetch_add(1, Relaxed))
    }

    /// Puts a notice in the mailbox. It comes back if the process is about to end, so that nobody would read it.
    pub(super) fn notify(&self, message: M, asked: Option<Asked>) -> Result<(), M> {
        self.queue.push_notice(message, asked)
    }

    /// A permit for one more monitor.
    pub(super) fn permit_monitor(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queue.monitors).try_acquire_owned().ok()
    }

    /// A permit for one more timer.
    pub(super) fn permit_timer(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queue.timers).try_acquire_owned().ok()
    }

    pub(super) fn flush(&self, monitor: MonitorId) -> bool {
        self.queue.flush(monitor)
    }

    fn actor(&self) -> &ActorRef<Token> {
        self.actor.get().expect("nobody has a reference before it starts")
    }

    fn id(&self) -> ProcessId {
        self.actor.get().map_or(ProcessId(0), |actor| ProcessId(actor.get_id().pid()))
    }
}

impl<M: Send + 'static> Peer for Inner<M> {
    fn id(&self) -> ProcessId {
        Inner::id(self)
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn exit_signal(&self, from: ProcessId, reason: &ExitReason) {
        let trap = self.trap.lock().clone();
        let exit = Exit { process: from, reason: reason.clone() };
        match trap.map(|trap| catch_unwind(AssertUnwindSafe(|| trap(exit)))) {
            Some(Ok(message)) => drop(self.notify(message, None)),
            Some(Err(panic)) => self.crash(ExitReason::of_panic(panic.as_ref())),
            None if *reason != ExitReason::Normal => self.crash(reason.clone()),
            None => {}
        }
    }
}

/// A reference to a process with a bounded mailbox. Cheap to clone; it does not keep the process alive.
///
/// ```
/// use std::time::Duration;
/// use playhouse::process::{self, CallError, ExitReason, Mailbox, Reply};
/// use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
///
/// struct Counter;
///
/// enum Command {
///     Add(u64),
///     Get(Reply<u64>),
///     Crash,
/// }
/// impl Message for Command {}
///
/// impl Actor for Counter {
///     type Msg = Command;
///     type State = u64;
///     type Arguments = u64;
///
///     async fn pre_start(&self, _: ActorRef<Command>, first: u64) -> Result<u64, ActorProcessingErr> {
///         Ok(first)
///     }
///
///     async fn handle(&self, _: ActorRef<Command>, command: Command, sum: &mut u64) -> Result<(), ActorProcessingErr> {
///         match command {
///             Command::Add(number) => *sum += number,
///             Command::Get(reply) => drop(reply.send(*sum)),
///             Command::Crash => return Err("out of numbers".into()),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// const SECOND: Duration = Duration::from_secs(1);
/// let counter = process::spawn(Counter, 1, Mailbox::default()).await.unwrap();
/// counter.cast(Command::Add(2)).await.unwrap();
/// assert_eq!(counter.call(Command::Get, SECOND).await, Ok(3));
///
/// counter.cast(Command::Crash).await.unwrap();
/// let reason = ExitReason::Crashed("out of numbers".to_owned());
/// assert_eq!(counter.ended().await, reason);
/// assert_eq!(counter.call(Command::Get, SECOND).await, Err(CallError::NoProc));
/// # }
/// ```
pub struct Process<M> {
    inner: Arc<Inner<M>>,
}

impl<M: Send + 'static> Process<M> {
    pub(super) fn new(inner: Arc<Inner<M>>) -> Self {
        Self { inner }
    }

    pub(super) fn inner(&self) -> &Arc<Inner<M>> {
        &self.inner
    }

    /// The process whose handler runs here, given what `ractor` hands to its handlers.
    ///
    /// That [`ActorRef`] can stop and kill its process; it cannot send, because it would go round the bounds: `ractor` answers
    /// `InvalidActorType`. `None` outside of the handlers of a process, and in tasks that they spawned: clone it before.
    #[must_use]
    pub fn of(myself: &ActorRef<M>) -> Option<Self> {
        let current = CURRENT.try_with(Arc::clone).ok()?;
        let process = Self { inner: current.downcast::<Inner<M>>().ok()? };
        (process.id() == ProcessId(myself.get_id().pid())).then_some(process)
    }

    /// Which process this is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.inner.id()
    }

    /// Sends a message. If the mailbox is full, what happens is its [`Policy`](super::Policy).
    ///
    /// Messages of one sender are handled in the order in which they were sent. A process never waits for room in its own mailbox,
    /// which only itself could make: it is refused.
    ///
    /// # Errors
    ///
    /// When the process has ended, and when the message was refused.
    pub async fn cast(&self, message: M) -> Result<(), CastError> {
        if self.inner.queue.policy() == Policy::Wait && self.is_current() {
            return self.try_cast(message);
        }
        self.inner.queue.push(message).await.map_err(CastError::from)
    }

    /// Sends a message without waiting for room, whatever the policy.
    ///
    /// # Errors
    ///
    /// When the process has ended, and when there is no room.
    pub fn try_cast(&self, message: M) -> Result<(), CastError> {
        self.inner.queue.try_push(message).map_err(CastError::from)
    }

    /// Sends a message and waits for its answer, all within `timeout`.
    ///
    /// # Errors
    ///
    /// At once when the process has ended or ends; when a handler returns without having kept the reply; otherwise at the deadline.
    pub async fn call<T>(
        &self,
        message: impl FnOnce(Reply<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        if self.is_current() {
            return Err(CallError::CallingSelf);
        }
        let asked = async {
            let (reply, answered) = Reply::new();
            self.cast(message(reply)).await?;
            self.answer(answered).await
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(CallError::Timeout))
    }

    /// Whether this runs in one of its own handlers.
    fn is_current(&self) -> bool {
        let is_self = |current: &Arc<dyn Any + Send + Sync>| {
            current.downcast_ref::<Inner<M>>().is_some_and(|inner| std::ptr::eq(inner, &*self.inner))
        };
        CURRENT.try_with(is_self).unwrap_or(false)
    }

    async fn answer<T>(&self, mut answered: oneshot::Receiver<T>) -> Result<T, CallError> {
        tokio::select! {
            biased;
            answer = &mut answered => match answer {
                Ok(answer) => Ok(answer),
                // Dropped: by a handler that goes on, or because the process ends.
                Err(_) => Err(self.inner.life.after_turn().await.map_or(CallError::NoReply, CallError::Died)),
            },
            reason = self.ended() => answered.try_recv().map_err(|_| CallError::Died(reason)),
        }
    }

    /// Sends a message after a time.
    ///
    /// It is lost if the process ends before, or if there is no room then; the mailbox counts it as refused.
    ///
    /// # Errors
    ///
    /// When as many timers run for this process as [may](Mailbox::timers_max).
    pub fn send_after(&self, after: Duration, message: M) -> Result<Timer, TimerError> {
        timer::send_after(self, after, message)
    }

    /// Makes a message to this process of the end of another one: exactly one, at once if that one has ended already.
    ///
    /// It is not counted as a message in the mailbox. If `message` panics, this process ends with that reason, as if its handler had.
    ///
    /// # Errors
    ///
    /// When this process has as many monitors as it [may](Mailbox::monitors_max).
    pub fn monitor<N: Send + 'static>(
        &self,
        target: &Process<N>,
        message: impl FnOnce(Down) -> M + Send + 'static,
    ) -> Result<Monitor, MonitorError> {
        monitor::monitor(self, target, message)
    }

    /// Links this process and another one: when one ends, for a reason other than `normal`, the other one is killed with
    /// the same reason, unless it [traps exits](Self::trap_exit).
    ///
    /// If one of them has ended already, the other one gets `noproc`.
    pub fn link<N: Send + 'static>(&self, other: &Process<N>) {
        link::link(&self.peer(), &other.peer());
    }

    /// Takes the link back.
    pub fn unlink<N: Send + 'static>(&self, other: &Process<N>) {
        link::unlink(&*self.inner, &*other.inner);
    }

    /// From now on, the end of a linked process is a message to this one, whatever the reason. It is not counted.
    ///
    /// If `message` panics, this process ends with that reason, as if its handler had.
    pub fn trap_exit(&self, message: impl Fn(Exit) -> M + Send + Sync + 'static) {
        let replaced = self.inner.trap.lock().replace(Arc::new(message));
        drop(replaced);
        if self.inner.life.has_ended() {
            self.inner.forget_trap();
        }
    }

    /// Asks it to stop with this reason, after the message that it is handling. Messages that wait are lost.
    pub fn stop(&self, reason: ExitReason) {
        self.inner.life.ask(reason.clone());
        self.inner.actor().stop(reason.stop_text());
    }

    /// Ends it at once, at the next point where it waits. `post_stop` does not run.
    pub fn kill(&self) {
        self.inner.actor().kill();
    }

    /// Lets it handle the messages that wait, and then stop with `normal`. New ones are refused; notices of monitors and links come
    /// in until the last message is handled.
    pub fn drain(&self) {
        self.inner.queue.drain();
    }

    /// Waits until its handlers have ended, and says why.
    pub async fn ended(&self) -> ExitReason {
        self.inner.life.ended().await
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.life.exit().is_none()
    }

    /// How full its mailbox is, and what became of messages that it could not keep.
    #[must_use]
    pub fn mailbox(&self) -> MailboxStats {
        self.inner.queue.stats()
    }

    /// The actor behind it, for `ractor`'s supervision.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.inner.actor().get_cell()
    }

    pub(super) fn peer(&self) -> Arc<dyn Peer> {
        Arc::<Inner<M>>::clone(&self.inner)
    }
}

/// Runs a handler of a process as that process.
pub(super) fn run_as<M: Send + 'static, F: Future>(
    inner: &Arc<Inner<M>>,
    handler: F,
) -> impl Future<Output = F::Output> + use<M, F> {
    CURRENT.scope(Arc::<Inner<M>>::clone(inner), handler)
}

impl<M> Clone for Process<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: Send + 'static> PartialEq for Process<M> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<M: Send + 'static> Eq for Process<M> {}

impl<M: Send + 'static> fmt::Debug for Process<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(&self.id().0).finish()
    }
}

impl<M> From<Rejected<M>> for CastError {
    fn from(rejected: Rejected<M>) -> Self {
        match rejected {
            Rejected::Closed(_) => Self::NoProc,
            Rejected::Full(_) => Self::Full,
            Rejected::TooLarge(_) => Self::TooLarge,
        }
    }
}
