//! Calls: a message that carries the place for its answer.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::ExitReason;

/// Where the answer to a call goes. A handler that drops it without an answer fails the call.
///
/// It travels in messages to processes of other nodes, if the answer is one that can be sent back.
pub struct Reply<T> {
    /// `None` when it has travelled to another node. A message is only lent to what encodes it, so this is behind a lock.
    place: Mutex<Option<Place<T>>>,
}

/// Where the caller waits.
enum Place<T> {
    Here(Waiting<T>),
    There(Box<dyn Return<T>>),
}

/// The end of a call on this node: an answer, or why there will be none.
pub(super) type Waiting<T> = oneshot::Sender<Result<T, CallError>>;

/// What a caller waits at.
pub(super) type Answered<T> = oneshot::Receiver<Result<T, CallError>>;

/// The way back to a caller on another node. Dropping it tells the caller that there is no answer.
pub(super) trait Return<T>: Send {
    /// Whether the caller can still be reached.
    fn send(self: Box<Self>, answer: T) -> bool;

    fn is_abandoned(&self) -> bool;
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, Answered<T>) {
        let (waiting, answered) = oneshot::channel();
        (Self::to(Place::Here(waiting)), answered)
    }

    pub(super) fn there(way: Box<dyn Return<T>>) -> Self {
        Self::to(Place::There(way))
    }

    fn to(place: Place<T>) -> Self {
        Self { place: Mutex::new(Some(place)) }
    }

    /// It leaves this node: what is left behind does nothing any more. `None` if it has left before.
    pub(super) fn leave(&self) -> Option<Self> {
        self.place.lock().take().map(Self::to)
    }

    /// Answers. Whether the caller still waits, as far as is known here: one on another node may have given up.
    pub fn send(self, answer: T) -> bool {
        match self.place.into_inner() {
            Some(Place::Here(waiting)) => waiting.send(Ok(answer)).is_ok(),
            Some(Place::There(way)) => way.send(answer),
            None => false,
        }
    }

    /// There will be no answer, and this is why.
    pub(super) fn fail(self, why: CallError) {
        if let Some(Place::Here(waiting)) = self.place.into_inner() {
            // A caller that gave up does not want to know.
            let _ = waiting.send(Err(why));
        }
    }

    /// Whether nobody waits any more, so that an answer is not worth its work. That a caller on another node gave up is known a little
    /// later; if the place for the answer was passed on from there to a third node, it is known when those two part.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        match &*self.place.lock() {
            Some(Place::Here(waiting)) => waiting.is_closed(),
            Some(Place::There(way)) => way.is_abandoned(),
            None => true,
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// Why a message was not taken. It was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CastError {
    /// There is no such process any more, or it is about to end.
    #[error("the process does not run (noproc)")]
    NoProc,
    /// Its mailbox is full, or what waits to be sent to its node. Send less, or later.
    #[error("the mailbox, or what waits for its node, is full; try again later")]
    Full,
    /// The message is heavier than the whole mailbox may be, or than what may travel between nodes.
    #[error("the message is heavier than the mailbox may ever hold, or than what may travel between nodes")]
    TooLarge,
    /// Its node is not connected. The process may run on.
    #[error("the node of the process is not connected (noconnection)")]
    NoConnection,
    /// The message cannot be encoded for another node. Change its type.
    #[error("the message cannot be sent to another node")]
    NotPortable,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such process any more, or it is about to end. The message was not sent.
    #[error("the process does not run (noproc)")]
    NoProc,
    /// It ended before it answered. It may have done a part of what was asked.
    #[error("the process ended before it answered: {0}")]
    Died(ExitReason),
    /// It dropped the place for the answer, or the message itself to make room for newer ones, and lives on. That is known when
    /// the handler that runs then has returned.
    #[error("the process gave no answer")]
    NoReply,
    /// There was no answer in time. It may still do what was asked.
    #[error("no answer in time; the process may still do what was asked")]
    Timeout,
    /// The process called itself, and would wait for its own answer. The message was not sent.
    #[error("a process cannot wait for its own answer")]
    CallingSelf,
    /// Its mailbox is full, or what waits to be sent to its node. It will not do what was asked.
    #[error("the mailbox, or what waits for its node, is full; try again later")]
    Full,
    /// The message is heavier than the whole mailbox may be, or than what may travel between nodes. It will not do what was asked.
    #[error("the message is heavier than the mailbox may ever hold, or than what may travel between nodes")]
    TooLarge,
    /// Its node is not connected, or was lost before the answer came. It may still do what was asked.
    #[error("the node of the process is not connected (noconnection); it may still do what was asked")]
    NoConnection,
    /// The message or its answer cannot be encoded for another node, or the process there takes other messages.
    #[error("the message or its answer cannot be sent to another node")]
    NotPortable,
}

impl From<CastError> for CallError {
    fn from(error: CastError) -> Self {
        match error {
            CastError::NoProc => Self::NoProc,
            CastError::Full => Self::Full,
            CastError::TooLarge => Self::TooLarge,
            CastError::NoConnection => Self::NoConnection,
            CastError::NotPortable => Self::NotPortable,
        }
    }
}
