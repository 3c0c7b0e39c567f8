//! A process itself, whoever holds it: its actor, its mailbox, its life.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use ractor::ActorRef;
use tokio::{sync::OwnedSemaphorePermit, task::futures::TaskLocalFuture};

use super::{
    CastError, Exit, ExitReason, Mailbox, MailboxStats, MonitorId, ProcessId,
    life::{Life, Mourners, contain},
    link::Peer,
    mailbox::{Asked, Next, Queue, Taken},
    table::{Entry, Listed, ProcessTable},
};

/// What `ractor` is told for each message: there is one.
pub(super) struct Token;

impl ractor::Message for Token {}

tokio::task_local! {
    /// The process whose handler runs: an `Arc<Inner<M>>`.
    static CURRENT: Arc<dyn Current>;
}

/// The process whose handler runs, whatever messages it takes.
pub(super) trait Current: Any + Send + Sync {
    fn table(&self) -> Option<Arc<ProcessTable>>;
}

impl<M: Send + 'static> Current for Inner<M> {
    fn table(&self) -> Option<Arc<ProcessTable>> {
        self.table.clone()
    }
}

/// The process whose handler runs, if it takes such messages.
pub(super) fn current<M: Send + 'static>() -> Option<Arc<Inner<M>>> {
    let current: Arc<dyn Any + Send + Sync> = CURRENT.try_with(Arc::clone).ok()?;
    current.downcast().ok()
}

/// Whether this runs in a handler of that process.
pub(super) fn is_current<M: Send + 'static>(inner: &Arc<Inner<M>>) -> bool {
    let is_it = |current: &Arc<dyn Current>| {
        let current: &dyn Any = &**current;
        current.downcast_ref::<Inner<M>>().is_some_and(|current| std::ptr::eq(current, &**inner))
    };
    CURRENT.try_with(is_it).unwrap_or(false)
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

pub(super) type Trap<M> = Arc<dyn Fn(Exit) -> M + Send + Sync>;

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

    pub(super) fn queue(&self) -> &Queue<M> {
        &self.queue
    }

    /// Puts a message of at least so many bytes in the mailbox, if there is room now.
    pub(super) fn try_take(&self, message: M, bytes: usize) -> Result<(), CastError> {
        self.queue.try_push_heavy(message, bytes).map_err(CastError::from)
    }

    /// What is to be done about a token, and how the next message comes.
    pub(super) fn take(&self) -> (Taken<M>, Next) {
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

    /// Makes messages of the ends of linked processes from now on.
    pub(super) fn trap_exit(&self, trap: Trap<M>) {
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

    pub(super) fn actor(&self) -> &ActorRef<Token> {
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

/// A handler that runs as a process.
pub(super) type Played<F> = TaskLocalFuture<Arc<dyn Current>, F>;

/// A process as its handlers find it: lent to the one that runs, because another reference for each message costs more.
pub(super) struct Role(Option<Arc<dyn Current>>);

impl Role {
    pub(super) fn of<M: Send + 'static>(inner: &Arc<Inner<M>>) -> Self {
        Self(Some(Arc::<Inner<M>>::clone(inner)))
    }

    /// A handler that runs as that process.
    pub(super) fn play<F: Future>(&mut self, handler: F) -> Played<F> {
        let current = self.0.take().expect("a handler that did not return was the last");
        CURRENT.scope(current, handler)
    }

    /// The handler has returned.
    pub(super) fn end<F: Future>(&mut self, played: Pin<&mut Played<F>>) {
        self.0 = played.take_value();
    }
}

pub(super) fn as_peer<M: Send + 'static>(inner: &Arc<Inner<M>>) -> Arc<dyn Peer> {
    Arc::<Inner<M>>::clone(inner)
}
