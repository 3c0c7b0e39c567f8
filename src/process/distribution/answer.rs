//! Answers to calls between two nodes.
//!
//! Where the caller is, a call is a number with a [`Slot`] behind it in [`Calls`]; where the called process is, it is a way
//! [`Back`]. Each call that was opened ends once: by an answer, by a refusal, or with the connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use parking_lot::Mutex;
use playhouse_cluster::collections::Map;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    connection::Connection,
    frame::{Frame, Refusal},
    travel::Trip,
};
use crate::process::{CallError, ExitReason, Reply, call::Return, link::Peer};

/// Who waits for an answer, whatever its type is.
pub(super) struct Slot(Box<dyn Place>);

trait Place: Send {
    fn answer(self: Box<Self>, trip: Trip, body: &[u8]);
    fn fail(self: Box<Self>, why: CallError);
    fn is_abandoned(&self) -> bool;
}

impl Slot {
    pub(super) fn new<T: DeserializeOwned + Send + 'static>(reply: Reply<T>) -> Self {
        Self(Box::new(reply))
    }

    pub(super) fn answer(self, trip: Trip, body: &[u8]) {
        self.0.answer(trip, body);
    }

    pub(super) fn fail(self, why: CallError) {
        self.0.fail(why);
    }
}

impl<T: DeserializeOwned + Send + 'static> Place for Reply<T> {
    fn answer(self: Box<Self>, trip: Trip, body: &[u8]) {
        // What people wrote to decode their answers runs here, in a task of the link.
        match catch_unwind(AssertUnwindSafe(|| trip.unpack(body))) {
            Ok(Ok(answer)) => {
                // Who gave up does not want to know.
                let _ = self.send(answer);
            }
            Ok(Err(_)) | Err(_) => Reply::fail(*self, CallError::NotPortable),
        }
    }

    fn fail(self: Box<Self>, why: CallError) {
        Reply::fail(*self, why);
    }

    fn is_abandoned(&self) -> bool {
        Reply::is_abandoned(self)
    }
}

/// The calls to one node that have no answer yet.
pub(super) struct Calls {
    given: AtomicU64,
    /// `None`: the connection is closed.
    waiting: Mutex<Option<Map<u64, Slot>>>,
    calls_max: usize,
    /// How many were refused since some were found that nobody waits for any more.
    refused: AtomicUsize,
}

/// How many calls are refused between two looks for those that nobody waits for any more: a look goes through all of them, and answers
/// wait meanwhile.
const REFUSED_UNSEEN_MAX: usize = 1_024;

impl Calls {
    pub(super) fn new(calls_max: usize) -> Self {
        let (given, waiting) = (AtomicU64::new(0), Mutex::new(Some(Map::default())));
        Self { given, waiting, calls_max, refused: AtomicUsize::new(0) }
    }

    /// A number for one more call; `None` if there are too many, or the connection is closed.
    pub(super) fn open(&self, slot: Slot) -> Option<u64> {
        let mut locked = self.waiting.lock();
        let waiting = locked.as_mut()?;
        // Declared here, dropped after the lock: what waits may hold anything.
        let mut abandoned = Vec::new();
        if waiting.len() >= self.calls_max
            && self.refused.fetch_add(1, Relaxed).is_multiple_of(REFUSED_UNSEEN_MAX)
        {
            abandoned.extend(waiting.extract_if(|_, slot| slot.0.is_abandoned()));
            if !abandoned.is_empty() {
                self.refused.store(0, Relaxed);
            }
        }
        let call = self.given.fetch_add(1, Relaxed);
        let is_taken = waiting.len() < self.calls_max;
        let refused = if is_taken { waiting.insert(call, slot) } else { Some(slot) };
        drop(locked);
        drop((abandoned, refused));
        is_taken.then_some(call)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.lock().as_ref().is_some_and(|waiting| waiting.len() >= self.calls_max)
    }

    /// Who waits for the answer to this one; nobody, if it ended before.
    pub(super) fn take(&self, call: u64) -> Option<Slot> {
        self.waiting.lock().as_mut()?.remove(&call)
    }

    /// Nobody waits for these any more.
    pub(super) fn forget(&self, calls: &[u64]) {
        for call in calls {
            drop(self.take(*call));
        }
    }

    /// The connection is closed: no call will be answered.
    pub(super) fn close(&self) {
        let waiting = self.waiting.lock().take();
        for slot in waiting.into_iter().flatten().map(|(_, slot)| slot) {
            slot.fail(CallError::NoConnection);
        }
    }
}

/// The calls of a message, as long as somebody waits for their answers.
pub(super) struct Awaited {
    pub(super) connection: Arc<Connection>,
    pub(super) calls: Vec<u64>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        for call in &self.calls {
            // Whoever has it by now may keep it, or have passed it on.
            if self.connection.calls().take(*call).is_some() {
                self.connection.signal(&Frame::Forget { call: *call });
            }
        }
    }
}

/// The places for answers of the peer's calls that are on this node, or were passed on by it. As many as there are.
#[derive(Default)]
pub(super) struct Asked {
    /// Whether nobody waits any more.
    abandoned: Mutex<Map<u64, Arc<AtomicBool>>>,
}

impl Asked {
    fn begin(&self, call: u64) -> Arc<AtomicBool> {
        let abandoned = Arc::new(AtomicBool::new(false));
        self.abandoned.lock().insert(call, Arc::clone(&abandoned));
        abandoned
    }

    /// The peer says that nobody waits for this one.
    pub(super) fn abandon(&self, call: u64) {
        if let Some(abandoned) = self.abandoned.lock().get(&call) {
            abandoned.store(true, SeqCst);
        }
    }

    fn end(&self, call: u64) {
        self.abandoned.lock().remove(&call);
    }
}

/// The way back to the caller.
pub(super) struct Back {
    connection: Weak<Connection>,
    call: u64,
    /// The process that was called: whether it lives on decides what the caller hears if there is no answer.
    target: Weak<dyn Peer>,
    transit: Arc<Transit>,
    is_answered: bool,
    is_abandoned: Arc<AtomicBool>,
}

impl Back {
    pub(super) fn new(
        connection: &Arc<Connection>,
        call: u64,
        target: &Weak<dyn Peer>,
        transit: &Arc<Transit>,
    ) -> Self {
        let is_abandoned = connection.asked().begin(call);
        let (connection, target) = (Arc::downgrade(connection), Weak::clone(target));
        Self { connection, call, target, transit: Arc::clone(transit), is_answered: false, is_abandoned }
    }
}

impl<T: Serialize> Return<T> for Back {
    fn send(mut self: Box<Self>, answer: T) -> bool {
        self.is_answered = true;
        // An answer that nobody waits for need not travel.
        if self.is_abandoned.load(SeqCst) {
            return false;
        }
        self.connection.upgrade().is_some_and(|connection| connection.answer(self.call, &answer))
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(SeqCst)
            || self.connection.upgrade().is_none_or(|connection| !connection.is_open())
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.asked().end(self.call);
        }
        if !self.is_answered && !self.is_abandoned.load(SeqCst) && self.transit.is_over(self.call) {
            no_answer(self.connection.clone(), self.call, self.target.clone());
        }
    }
}

/// What has become of a message that carries calls. If it is not taken, the caller hears why, and not that there is no answer.
#[derive(Default)]
pub(super) struct Transit {
    /// The places for answers that were dropped on the way; `None`: it has arrived.
    dropped: Mutex<Option<Vec<u64>>>,
}

impl Transit {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { dropped: Mutex::new(Some(Vec::new())) })
    }

    /// Whether the message has arrived; if not, it is noted that this place was dropped.
    fn is_over(&self, call: u64) -> bool {
        match &mut *self.dropped.lock() {
            Some(dropped) => {
                dropped.push(call);
                false
            }
            None => true,
        }
    }

    /// It was taken: whatever was dropped meanwhile was dropped by its receiver.
    pub(super) fn taken(&self, connection: &Arc<Connection>, target: &Weak<dyn Peer>) {
        let dropped = self.dropped.lock().take();
        for call in dropped.into_iter().flatten() {
            no_answer(Arc::downgrade(connection), call, target.clone());
        }
    }
}

/// Tells the caller that there is no answer, once it is known whether that is because the process ends.
fn no_answer(connection: Weak<Connection>, call: u64, target: Weak<dyn Peer>) {
    let Some(open) = connection.upgrade() else { return };
    open.environment().spawn(async move {
        let reason = match target.upgrade() {
            Some(target) => target.life().after_turn().await,
            None => None,
        };
        let Some(connection) = connection.upgrade() else { return };
        let reason = reason.as_ref().map(ExitReason::for_the_way);
        connection.signal(&Frame::NoAnswer { call, reason });
    });
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoProc => Self::NoProc,
            Refusal::Full => Self::Full,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::NotPortable => Self::NotPortable,
        }
    }
}
