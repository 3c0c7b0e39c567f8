//! References to processes: what one sends to, watches and ends, on this node or another.

use std::{fmt, sync::Arc, time::Duration};

use ractor::{ActorCell, ActorRef};

use super::{
    CallError, CastError, Down, Exit, ExitReason, MailboxStats, Monitor, MonitorError, ProcessId, Reply,
    Timer, TimerError,
    call::Answered,
    distribution::far::{Far, Order},
    inner::{self, Inner, as_peer},
    life::Life,
    link::{self, Peer},
    mailbox::Rejected,
    monitor, timer,
};

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
        let process = Self::new(inner::current()?);
        (process.id() == ProcessId::here(myself.get_id().pid())).then_some(process)
    }

    /// The process whose handler runs here, if it takes such messages: where there is no [`ActorRef`] of it, as in a
    /// [`StateMachine`](super::StateMachine). `None` where [`of`](Self::of) is.
    #[must_use]
    pub fn current() -> Option<Self> {
        inner::current().map(Self::new)
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
            Place::Here(inner) => {
                let pushed = inner.queue().push(message, || !inner::is_current(inner));
                pushed.await.map_err(CastError::from)
            }
            Place::There(far) => far.cast(&message),
        }
    }

    /// Sends a message without waiting for room, whatever the policy.
    ///
    /// # Errors
    ///
    /// When the process has ended, and when there is no room.
    pub fn try_cast(&self, message: M) -> Result<(), CastError> {
        match &self.place {
            Place::Here(inner) => inner.queue().try_push(message).map_err(CastError::from),
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
                    answer(inner.life(), answered).await
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
        self.here().is_some_and(|inner| inner::is_current(inner))
    }

    /// Sends a message after a time.
    ///
    /// It is lost if the process ends before, or if there is no room then; the mailbox counts it as refused.
    ///
    /// # Errors
    ///
    /// When as many timers run for this process as [may](super::Mailbox::timers_max), and when it lives on another node.
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
    /// When this process has as many monitors as it [may](super::Mailbox::monitors_max), and when *this* one lives on another node.
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
                inner.life().ask(reason.clone());
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
            Place::Here(inner) => inner.queue().drain(),
            Place::There(far) => {
                far.order(&Order::Drain);
            }
        }
    }

    /// Waits until its handlers have ended, and says why. Of a process of another node that had ended before, `noproc` is all that
    /// is known.
    pub async fn ended(&self) -> ExitReason {
        match &self.place {
            Place::Here(inner) => inner.life().ended().await,
            Place::There(far) => far.ended().await,
        }
    }

    /// Whether it has not ended. Of a process of another node: whether that start of the node is connected and nobody here has heard
    /// of its end; [`ended`](Self::ended) asks.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.place {
            Place::Here(inner) => !inner.life().has_ended(),
            Place::There(far) => far.is_reachable(),
        }
    }

    /// How full its mailbox is, and what became of messages that it could not keep. Only its own node knows: all zero elsewhere.
    #[must_use]
    pub fn mailbox(&self) -> MailboxStats {
        self.here().map(|inner| inner.queue().stats()).unwrap_or_default()
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
