//! References to processes: what one sends to, watches and ends, on this node or another.

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
use tokio::sync::OwnedSemaphorePermit;

use super::{
    CallError, CastError, Down, Exit, ExitReason, Mailbox, MailboxStats, Monitor, MonitorError, MonitorId,
    Policy, ProcessId, Reply, Timer, TimerError,
    call::Answered,
    distribution::far::{Far, Order},
    life::{Life, Mourners, contain},
    link::{self, Peer},
    mailbox::{Asked, Queue, Rejected, Taken},
    monitor,
    table::{Entry, Listed, ProcessTable},
    timer,
};

/// What `ractor` is told for each message: there is one.
pub(super) struct Token;

impl ractor::Message for Token {}

tokio::task_local! {
    /// The process whose handler runs: an `Arc<Inner<M>>`.
    static CURRENT: Arc<dyn Current>;
}

/// The process whose handler runs, whatever messages it takes.
trait Current: Any + Send + Sync {
    fn table(&self) -> Option<Arc<ProcessTable>>;
}

impl<M: Send + 'static> Current for Inner<M> {
    fn table(&self) -> Option<Arc<ProcessTable>> {
        self.table.clone()
    }
}

/// Where the process belongs whose handler runs.
pub(super) fn table_of_current() -> Option<Arc<ProcessTable>> {
    CURRENT.try_with(|current| current.table()).ok().flatten()
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
    /// Of the node that it belongs to.
    table: Option<Arc<ProcessTable>>,
}

type Trap<M> = Arc<dyn Fn(Exit) -> M + Send + Sync>;

impl<M: Send + 'static> Inner<M> {
    pub(super) fn new(mailbox: Mailbox<M>, table: Option<Arc<ProcessTable>>) -> Self {
        Self {
            actor: OnceLock::new(),
            queue: Queue::new(mailbox),
            life: Life::new(),
            monitors_given: AtomicU64::new(0),
            trap: Mutex::new(None),
            table,
        }
    }

    /// It is being started, by this parent, to run an actor of this type.
    pub(super) fn begin(self: &Arc<Self>, actor: ActorRef<Token>, parent: Option<u64>, runs: &'static str) {
        let bell = actor.clone();
        let first = self.actor.set(actor);
        debug_assert!(first.is_ok(), "a process is started once");
        self.queue.open(Box::new(move || bell.send_message(Token).is_ok()));
        if let Some(table) = &self.table {
            let listed: Arc<dyn Listed> = Arc::<Self>::clone(self);
            let process = Arc::downgrade(&listed);
            table.begin(self.id().number(), Entry { process, parent, actor: runs });
        }
    }

    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// Puts a message of at least so many bytes in the mailbox, if there is room now.
    pub(super) fn try_take(&self, message: M, bytes: usize) -> Result<(), CastError> {
        self.queue.try_push_heavy(message, bytes).map_err(CastError::from)
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
            if let Some(table) = &self.table {
                table.end(self.id().number(), mourners.reason(), self.queue.stats());
            }
            mourners.tell(self.id());
        }
    }

    /// A trap often holds a reference to its own process; both would stay for ever.
    fn forget_trap(&self) {
        let trap = self.trap.lock().take();
        // It may hold a reference to anything, so it is not dropped under the lock.
        drop(trap);
    }

    fn trap_exit(&self, trap: Trap<M>) {
        let replaced = self.trap.lock().replace(trap);
        drop(replaced);
        if self.life.has_ended() {
            self.forget_trap();
        }
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

    /// Which alarm the message is that is being handled; `None` if it is none.
    pub(super) fn alarm(&self) -> Option<MonitorId> {
        self.queue.alarm()
    }

    /// It could not keep so many messages that its mailbox had taken.
    pub(super) fn note_refused(&self, messages: usize) {
        self.queue.note_refused(messages);
    }

    fn actor(&self) -> &ActorRef<Token> {
        self.actor.get().expect("nobody has a reference before it starts")
    }

    pub(super) fn id(&self) -> ProcessId {
        ProcessId::here(self.actor.get().map_or(0, |actor| actor.get_id().pid()))
    }
}

impl<M: Send + 'static> Listed for Inner<M> {
    fn stats(&self) -> MailboxStats {
        self.queue.stats()
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
/// The process may live on another node: then the reference came in a message, or from a group, a cluster-wide name or a remote
/// spawn, and everything here means the same. What differs stands with each function.
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
    place: Place<M>,
}

/// Where it lives.
pub(super) enum Place<M> {
    Here(Arc<Inner<M>>),
    There(Arc<Far<M>>),
}

impl<M: Send + 'static> Process<M> {
    pub(super) fn new(inner: Arc<Inner<M>>) -> Self {
        Self { place: Place::Here(inner) }
    }

    pub(super) fn there(far: Far<M>) -> Self {
        Self { place: Place::There(Arc::new(far)) }
    }

    /// The process itself, if it lives on this node.
    pub(super) fn here(&self) -> Option<&Arc<Inner<M>>> {
        match &self.place {
            Place::Here(inner) => Some(inner),
            Place::There(_) => None,
        }
    }

    /// As [`here`](Self::here), to be watched.
    pub(super) fn peer_here(&self) -> Option<Arc<dyn Peer>> {
        self.here().map(as_peer)
    }

    pub(super) fn place(&self) -> &Place<M> {
        &self.place
    }

    /// The process whose handler runs here, given what `ractor` hands to its handlers.
    ///
    /// That [`ActorRef`] can stop and kill its process; it cannot send, because it would go round the bounds: `ractor` answers
    /// `InvalidActorType`. `None` outside of the handlers of a process, and in tasks that they spawned: clone it before.
    #[must_use]
    pub fn of(myself: &ActorRef<M>) -> Option<Self> {
        let current: Arc<dyn Any + Send + Sync> = CURRENT.try_with(Arc::clone).ok()?;
        let process = Self::new(current.downcast::<Inner<M>>().ok()?);
        (process.id() == ProcessId::here(myself.get_id().pid())).then_some(process)
    }

    /// Which process this is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        match &self.place {
            Place::Here(inner) => inner.id(),
            Place::There(far) => far.id(),
        }
    }

    /// Sends a message. If the mailbox is full, what happens is its [`Policy`](super::Policy).
    ///
    /// Messages of one sender are handled in the order in which they were sent. A process never waits for room in its own mailbox,
    /// which only itself could make: it is refused.
    ///
    /// To another node, `Ok` says that the message waits to be sent, nothing more: a mailbox there that is full refuses it, whatever
    /// its policy, and counts that.
    ///
    /// # Errors
    ///
    /// When the process has ended or its node is not connected, and when the message was refused.
    pub async fn cast(&self, message: M) -> Result<(), CastError> {
        match &self.place {
            Place::Here(inner) if inner.queue.policy() != Policy::Wait || !self.is_current() => {
                inner.queue.push(message).await.map_err(CastError::from)
            }
            _ => self.try_cast(message),
        }
    }

    /// Sends a message without waiting for room, whatever the policy.
    ///
    /// # Errors
    ///
    /// When the process has ended, and when there is no room.
    pub fn try_cast(&self, message: M) -> Result<(), CastError> {
        match &self.place {
            Place::Here(inner) => inner.queue.try_push(message).map_err(CastError::from),
            Place::There(far) => far.cast(&message),
        }
    }

    /// Sends a message and waits for its answer, all within `timeout`.
    ///
    /// # Errors
    ///
    /// At once when the process has ended or ends, or the connection to its node; when a handler returns without having kept the
    /// reply; otherwise at the deadline.
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
            match &self.place {
                Place::Here(inner) => {
                    self.cast(message(reply)).await?;
                    answer(&inner.life, answered).await
                }
                Place::There(far) => {
                    let asked = far.call(&message(reply), answered);
                    asked.await
                }
            }
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(CallError::Timeout))
    }

    /// Whether this runs in one of its own handlers.
    fn is_current(&self) -> bool {
        let is_self = |current: &Arc<dyn Current>| {
            let current: &dyn Any = &**current;
            let current = current.downcast_ref::<Inner<M>>();
            current.zip(self.here()).is_some_and(|(current, inner)| std::ptr::eq(current, &**inner))
        };
        CURRENT.try_with(is_self).unwrap_or(false)
    }

    /// Sends a message after a time.
    ///
    /// It is lost if the process ends before, or if there is no room then; the mailbox counts it as refused.
    ///
    /// # Errors
    ///
    /// When as many timers run for this process as [may](Mailbox::timers_max), and when it lives on another node.
    pub fn send_after(&self, after: Duration, message: M) -> Result<Timer, TimerError> {
        timer::send_after(self, after, message)
    }

    /// Makes a message to this process of the end of another one: exactly one, at once if that one has ended already.
    ///
    /// It is not counted as a message in the mailbox. If `message` panics, this process ends with that reason, as if its handler had.
    ///
    /// When the other one lives on another node, the end of the connection to that node is its end, with the reason `noconnection`,
    /// though it may run on.
    ///
    /// # Errors
    ///
    /// When this process has as many monitors as it [may](Mailbox::monitors_max), and when *this* one lives on another node.
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
    /// If one of them has ended already, the other one gets `noproc`. Between two nodes, the end of their connection ends both, with
    /// `noconnection`. Two processes of other nodes are linked there: nothing happens if this node reaches neither of them.
    pub fn link<N: Send + 'static>(&self, other: &Process<N>) {
        match (&self.place, &other.place) {
            (Place::Here(one), Place::Here(other)) => link::link(&as_peer(one), &as_peer(other)),
            (Place::Here(one), Place::There(far)) => far.link(&as_peer(one)),
            (Place::There(far), Place::Here(other)) => far.link(&as_peer(other)),
            (Place::There(one), Place::There(far)) => {
                // The other one finds out whether its node reaches the first.
                if !one.order(&Order::Link(far.id())) {
                    far.order(&Order::Link(one.id()));
                }
            }
        }
    }

    /// Takes the link back.
    pub fn unlink<N: Send + 'static>(&self, other: &Process<N>) {
        match (&self.place, &other.place) {
            (Place::Here(one), Place::Here(other)) => link::unlink(&**one, &**other),
            (Place::Here(one), Place::There(far)) => far.unlink(&**one),
            (Place::There(far), Place::Here(other)) => far.unlink(&**other),
            (Place::There(one), Place::There(other)) => {
                one.order(&Order::Unlink(other.id()));
            }
        }
    }

    /// From now on, the end of a linked process is a message to this one, whatever the reason. It is not counted.
    ///
    /// If `message` panics, this process ends with that reason, as if its handler had.
    ///
    /// A process decides this on its own node: asked of a process of another node, it changes nothing, which the log says.
    pub fn trap_exit(&self, message: impl Fn(Exit) -> M + Send + Sync + 'static) {
        match &self.place {
            Place::Here(inner) => inner.trap_exit(Arc::new(message)),
            Place::There(far) => {
                tracing::error!(process = %far.id(), "a process of another node cannot be made to trap exits");
            }
        }
    }

    /// Asks it to stop with this reason, after the message that it is handling. Messages that wait are lost.
    pub fn stop(&self, reason: ExitReason) {
        match &self.place {
            Place::Here(inner) => {
                inner.life.ask(reason.clone());
                inner.actor().stop(reason.stop_text());
            }
            Place::There(far) => {
                far.order(&Order::Stop(reason));
            }
        }
    }

    /// Ends it at once, at the next point where it waits. `post_stop` does not run.
    pub fn kill(&self) {
        match &self.place {
            Place::Here(inner) => inner.actor().kill(),
            Place::There(far) => {
                far.order(&Order::Kill);
            }
        }
    }

    /// Lets it handle the messages that wait, and then stop with `normal`. New ones are refused; notices of monitors and links come
    /// in until the last message is handled.
    pub fn drain(&self) {
        match &self.place {
            Place::Here(inner) => inner.queue.drain(),
            Place::There(far) => {
                far.order(&Order::Drain);
            }
        }
    }

    /// Waits until its handlers have ended, and says why. Of a process of another node that had ended before, `noproc` is all that
    /// is known.
    pub async fn ended(&self) -> ExitReason {
        match &self.place {
            Place::Here(inner) => inner.life.ended().await,
            Place::There(far) => far.ended().await,
        }
    }

    /// Whether it has not ended. Of a process of another node: whether that start of the node is connected and nobody here has heard
    /// of its end; [`ended`](Self::ended) asks.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.place {
            Place::Here(inner) => !inner.life.has_ended(),
            Place::There(far) => far.is_reachable(),
        }
    }

    /// How full its mailbox is, and what became of messages that it could not keep. Only its own node knows: all zero elsewhere.
    #[must_use]
    pub fn mailbox(&self) -> MailboxStats {
        self.here().map(|inner| inner.queue.stats()).unwrap_or_default()
    }

    /// The actor behind it, for `ractor`'s supervision; `None` if it lives on another node.
    #[must_use]
    pub fn cell(&self) -> Option<ActorCell> {
        self.here().map(|inner| inner.actor().get_cell())
    }

    /// Where its end can be watched; why not, if that is known.
    pub(super) fn peer(&self) -> Result<Arc<dyn Peer>, ExitReason> {
        match &self.place {
            Place::Here(inner) => Ok(as_peer(inner)),
            Place::There(far) => far.peer(),
        }
    }
}

pub(super) fn as_peer<M: Send + 'static>(inner: &Arc<Inner<M>>) -> Arc<dyn Peer> {
    Arc::<Inner<M>>::clone(inner)
}

/// Waits for an answer, or for the end of the process that would give it.
pub(super) async fn answer<T>(life: &Life, mut answered: Answered<T>) -> Result<T, CallError> {
    tokio::select! {
        biased;
        answer = &mut answered => match answer {
            Ok(answer) => answer,
            // Dropped: by a handler that goes on, or because the process ends.
            Err(_) => {
                let reason = life.after_turn().await;
                Err(reason.map_or(CallError::NoReply, |reason| life.without_answer(reason)))
            }
        },
        reason = life.ended() => answered.try_recv().unwrap_or_else(|_| Err(life.without_answer(reason))),
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
        let place = match &self.place {
            Place::Here(inner) => Place::Here(Arc::clone(inner)),
            Place::There(far) => Place::There(Arc::clone(far)),
        };
        Self { place }
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
        write!(f, "Process({})", self.id())
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
