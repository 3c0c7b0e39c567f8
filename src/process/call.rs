//! Calls: a message that carries the place for its answer.

use std::fmt;

use tokio::sync::oneshot;

use super::ExitReason;

/// Where the answer to a call goes. A handler that drops it without an answer fails the call.
pub struct Reply<T> {
    answer: oneshot::Sender<T>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (answer, answered) = oneshot::channel();
        (Self { answer }, answered)
    }

    /// Answers. Whether the caller still waits.
    pub fn send(self, answer: T) -> bool {
        self.answer.send(answer).is_ok()
    }

    /// Whether nobody waits any more, so that an answer is not worth its work.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
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
    /// Its mailbox is full. Send less, or later.
    #[error("the mailbox is full; try again later")]
    Full,
    /// The message is heavier than the whole mailbox may be.
    #[error("the message is heavier than the mailbox may ever hold")]
    TooLarge,
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
    /// Its mailbox is full. The message was not sent.
    #[error("the mailbox is full; try again later")]
    Full,
    /// The message is heavier than the whole mailbox may be. It was not sent.
    #[error("the message is heavier than the mailbox may ever hold")]
    TooLarge,
}

impl From<CastError> for CallError {
    fn from(error: CastError) -> Self {
        match error {
            CastError::NoProc => Self::NoProc,
            CastError::Full => Self::Full,
            CastError::TooLarge => Self::TooLarge,
        }
    }
}
