//! A request under way.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::stream::Stream;
use crate::protocol::{CallError, Reply};

/// A request under way. Dropping it stops waiting; the request itself goes on.
pub struct PendingReply {
    outcome: oneshot::Receiver<Result<Reply, CallError>>,
    /// The stream that keeps it, and its number there.
    kept: Option<(Arc<Stream>, u64)>,
}

impl PendingReply {
    pub(super) fn streamed(
        outcome: oneshot::Receiver<Result<Reply, CallError>>,
        stream: Arc<Stream>,
        number: u64,
    ) -> Self {
        Self { outcome, kept: Some((stream, number)) }
    }

    pub(super) fn direct(outcome: oneshot::Receiver<Result<Reply, CallError>>) -> Self {
        Self { outcome, kept: None }
    }

    /// Waits no longer; the request is not sent again. Returns what is known of it.
    #[must_use]
    pub fn give_up(&mut self) -> CallError {
        match self.kept.take() {
            Some((stream, number)) => stream.give_up(number),
            None => CallError::DeadlineExceeded,
        }
    }
}

impl Future for PendingReply {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.outcome).poll(context);
        if polled.is_ready() {
            self.kept = None;
        }
        polled.map(|outcome| outcome.unwrap_or(Err(CallError::OutcomeUnknown)))
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some((stream, number)) = self.kept.take() {
            stream.give_up(number);
        }
    }
}
