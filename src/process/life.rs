//! The end of a process, seen by those who wait for it: callers, monitors, links.
//!
//! Comes in: why it ends, and that it has ended. Leaves: exactly one notice to each who asked before, and the reason at once to
//! everybody who asks later.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, Release, SeqCst},
        },
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    CallError, ExitReason, ProcessId,
    link::{self, Peer},
};

/// Names a notice within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NoticeId(u64);

/// What is done once, when the process has ended.
pub(super) type Notice = Box<dyn FnOnce(&ExitReason) + Send>;

/// Whether a process lives, and who wants to know when it does not any more.
pub(super) struct Life {
    state: Mutex<State>,
    /// Whether `state` is that of the dead, for those who ask no more than that: each look-up of a name does.
    has_ended: AtomicBool,
    /// It ended. Every caller waits here, so nothing else wakes them.
    over: Notify,
    /// A handler returned, or it ended.
    turned: Notify,
    /// How many wait for that: mostly nobody, and then a message costs no lock.
    waiting: AtomicUsize,
    /// How many handlers have begun and how many have returned, together: odd while one runs, and after one did not return. Only the
    /// process itself changes it.
    turns: AtomicU64,
}

enum State {
    Alive(Alive),
    Dead(ExitReason, End),
}

/// What is known of an end. A process may well die *of* `noproc` or `noconnection`, if it was linked; that is another thing than
/// that nobody knows what it died of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It ended, for its reason.
    Died,
    /// There was no such process when its node was asked.
    Missing,
    /// Its node cannot be reached.
    Unreachable,
}

#[derive(Default)]
struct Alive {
    /// Somebody asked it to stop, for this reason.
    asked: Option<ExitReason>,
    /// It ends for this reason, whatever else happens. The first one counts.
    verdict: Option<ExitReason>,
    notices_given: u64,
    notices: BTreeMap<NoticeId, Notice>,
    links: BTreeMap<ProcessId, Arc<dyn Peer>>,
}

/// How a caller whose reply was dropped goes on.
pub(super) enum Turn {
    /// The handler that could tell is still running, or the process is about to end.
    Running(u64),
    Over,
}

impl Life {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State::Alive(Alive::default()));
        let (over, turned) = (Notify::new(), Notify::new());
        let has_ended = AtomicBool::new(false);
        let (waiting, turns) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { state, has_ended, over, turned, waiting, turns }
    }

    /// Why it ended, if it has.
    pub(super) fn exit(&self) -> Option<ExitReason> {
        if !self.has_ended() {
            return None;
        }
        match &*self.state.lock() {
            State::Alive(_) => None,
            State::Dead(reason, _) => Some(reason.clone()),
        }
    }

    /// Whether it has ended. Those who asked for a notice of that may not have it yet.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(SeqCst)
    }

    /// It will end for this reason.
    pub(super) fn judge(&self, reason: ExitReason) {
        if let State::Alive(alive) = &mut *self.state.lock() {
            alive.verdict.get_or_insert(reason);
        }
    }

    /// It was asked to stop in good order.
    pub(super) fn ask(&self, reason: ExitReason) {
        if let State::Alive(alive) = &mut *self.state.lock() {
            alive.asked.get_or_insert(reason);
        }
    }

    /// Whether it was asked to stop.
    pub(super) fn is_asked(&self) -> bool {
        matches!(&*self.state.lock(), State::Alive(alive) if alive.asked.is_some())
    }

    /// It has ended in good order.
    pub(super) fn end_well(&self) -> Option<Mourners> {
        self.end(End::Died, |alive| alive.verdict.or(alive.asked).unwrap_or(ExitReason::Normal))
    }

    /// It has ended, and if nobody said why, it was killed.
    pub(super) fn end_anyhow(&self) -> Option<Mourners> {
        self.end(End::Died, |alive| alive.verdict.unwrap_or(ExitReason::Killed))
    }

    /// It has ended on its own node, for this reason; `None`: there is no such process there.
    pub(super) fn end_elsewhere(&self, reason: Option<ExitReason>) -> Option<Mourners> {
        let end = if reason.is_some() { End::Died } else { End::Missing };
        self.end(end, |_| reason.unwrap_or(ExitReason::NoProc))
    }

    /// Its node cannot be reached any more.
    pub(super) fn lose(&self) -> Option<Mourners> {
        self.end(End::Unreachable, |_| ExitReason::NoConnection)
    }

    /// Whether nobody has asked to be told.
    pub(super) fn is_unwatched(&self) -> bool {
        match &*self.state.lock() {
            State::Alive(alive) => alive.notices.is_empty() && alive.links.is_empty(),
            State::Dead(..) => true,
        }
    }

    /// Only the first end counts.
    fn end(&self, end: End, reason: impl FnOnce(Alive) -> ExitReason) -> Option<Mourners> {
        let mut state = self.state.lock();
        let State::Alive(alive) = &mut *state else { return None };
        let mut alive = std::mem::take(alive);
        let (notices, links) = (std::mem::take(&mut alive.notices), std::mem::take(&mut alive.links));
        let reason = reason(alive);
        *state = State::Dead(reason.clone(), end);
        // Under the lock: whoever has seen the end there sees it here, too.
        self.has_ended.store(true, SeqCst);
        drop(state);
        self.over.notify_waiters();
        self.turned.notify_waiters();
        Some(Mourners { reason, notices, links })
    }

    /// Says so once it has ended. `None` if it has ended before.
    pub(super) fn watch(&self, notice: Notice) -> Option<NoticeId> {
        let mut state = self.state.lock();
        let State::Alive(alive) = &mut *state else { return None };
        let id = NoticeId(alive.notices_given);
        alive.notices_given += 1;
        alive.notices.insert(id, notice);
        Some(id)
    }

    /// Whether the notice was not given yet, and will not be.
    pub(super) fn unwatch(&self, id: NoticeId) -> bool {
        let notice = match &mut *self.state.lock() {
            State::Alive(alive) => alive.notices.remove(&id),
            State::Dead(..) => None,
        };
        // It holds references to another process, so it is not dropped under the lock.
        notice.is_some()
    }

    /// Its end will be a signal to this peer. The reason if it has ended before.
    pub(super) fn link(&self, peer: Arc<dyn Peer>) -> Result<(), ExitReason> {
        let replaced = match &mut *self.state.lock() {
            State::Alive(alive) => alive.links.insert(peer.id(), peer),
            State::Dead(reason, _) => return Err(reason.clone()),
        };
        drop(replaced);
        Ok(())
    }

    /// What somebody hears who asks after the end.
    pub(super) fn afterwards(&self) -> ExitReason {
        match &*self.state.lock() {
            State::Dead(_, End::Unreachable) => ExitReason::NoConnection,
            _ => ExitReason::NoProc,
        }
    }

    /// What a caller hears that waited for an answer when it ended for this reason.
    pub(super) fn without_answer(&self, reason: ExitReason) -> CallError {
        match &*self.state.lock() {
            State::Dead(_, End::Missing) => CallError::NoProc,
            State::Dead(_, End::Unreachable) => CallError::NoConnection,
            _ => CallError::Died(reason),
        }
    }

    /// The end of that peer is no signal to it any more. Whether it would have been: whoever takes a link away because the peer has
    /// ended gives the signal, and nobody else does.
    pub(super) fn unlink(&self, peer: ProcessId) -> bool {
        let removed = match &mut *self.state.lock() {
            State::Alive(alive) => alive.links.remove(&peer),
            State::Dead(..) => None,
        };
        removed.is_some()
    }

    pub(super) fn is_linked(&self, peer: ProcessId) -> bool {
        matches!(&*self.state.lock(), State::Alive(alive) if alive.links.contains_key(&peer))
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> ExitReason {
        loop {
            let over = self.over.notified();
            if let Some(reason) = self.exit() {
                return reason;
            }
            over.await;
        }
    }

    /// A handler begins.
    pub(super) fn begin_turn(&self) {
        // Whoever loses its reply in this turn sees that it began: the reply is passed on by what orders both.
        self.turns.store(self.turns.load(Relaxed) | 1, Release);
    }

    /// A handler returned and the process goes on.
    pub(super) fn end_turn(&self) {
        self.turns.store(self.turns.load(Relaxed) + 1, SeqCst);
        // Whoever is not counted yet looks at the turn after it is counted, and sees this one.
        if self.waiting.load(SeqCst) > 0 {
            self.turned.notify_waiters();
        }
    }

    fn turn(&self) -> Turn {
        let turn = self.turns.load(SeqCst);
        if turn % 2 == 1 { Turn::Running(turn) } else { Turn::Over }
    }

    /// Waits until it is known whether the process survives the handler that runs now: the reason if it does not.
    pub(super) async fn after_turn(&self) -> Option<ExitReason> {
        let first = self.turn();
        let _counted = Counted::among(&self.waiting);
        loop {
            let turned = self.turned.notified();
            if let Some(reason) = self.exit() {
                return Some(reason);
            }
            match (&first, self.turn()) {
                (Turn::Running(then), Turn::Running(now)) if *then == now => turned.await,
                _ => return None,
            }
        }
    }
}

/// One of those who wait, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, SeqCst);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Those who are told about an end.
pub(super) struct Mourners {
    reason: ExitReason,
    notices: BTreeMap<NoticeId, Notice>,
    links: BTreeMap<ProcessId, Arc<dyn Peer>>,
}

impl Mourners {
    /// Why it ended.
    pub(super) fn reason(&self) -> &ExitReason {
        &self.reason
    }

    pub(super) fn tell(self, who: ProcessId) {
        let Self { reason, notices, links } = self;
        for notice in notices.into_values() {
            contain(who, || notice(&reason));
        }
        for peer in links.into_values() {
            contain(who, || link::signal(&peer, who, &reason));
        }
    }
}

/// Does one part of the end of a process. If it panics, the other parts are done all the same.
pub(super) fn contain(process: ProcessId, part: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(part)) {
        let reason = ExitReason::of_panic(panic.as_ref());
        tracing::error!(%process, %reason, "a part of the end of a process panicked");
    }
}
