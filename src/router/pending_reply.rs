//! A request under way.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::stream::Stream;
use crate::{
    entity::KindIndex,
    protocol::{CallError, ErrorCode, Reply},
};

/// Hears the outcome of each request of a client, by kind, and how long it took since it arrived.
pub type AnswerObserver = Arc<dyn Fn(KindIndex, Result<(), ErrorCode>, Duration) + Send + Sync>;

/// What there is to tell of a request when it is answered.
pub(super) struct Observed {
    pub(super) observer: AnswerObserver,
    pub(super) kind: KindIndex,
    pub(super) arrived: Instant,
}

impl Observed {
    fn tell(&self, outcome: Result<(), ErrorCode>) {
        (self.observer)(self.kind, outcome, self.arrived.elapsed());
    }
}

/// A request under way. Dropping it stops waiting; the request itself goes on.
pub struct PendingReply {
    outcome: oneshot::Receiver<Result<Reply, CallError>>,
    /// The stream that keeps it, and its number there.
    kept: Option<(Arc<Stream>, u64)>,
    /// `None` once the outcome was told.
    observed: Option<Observed>,
}

impl PendingReply {
    pub(super) fn new(
        outcome: oneshot::Receiver<Result<Reply, CallError>>,
        kept: Option<(Arc<Stream>, u64)>,
        observed: Observed,
    ) -> Self {
        Self { outcome, kept, observed: Some(observed) }
    }

    /// For a local call of a `Volatile` entity, which is over before anything could be told of it.
    pub(super) fn unobserved(outcome: oneshot::Receiver<Result<Reply, CallError>>) -> Self {
        Self { outcome, kept: None, observed: None }
    }

    /// Waits no longer; the request is not sent again. Returns what is known of it.
    #[must_use]
    pub fn give_up(&mut self) -> CallError {
        let known = match self.kept.take() {
            Some((stream, number)) => stream.give_up(number),
            None => CallError::DeadlineExceeded,
        };
        if let Some(observed) = self.observed.take() {
            observed.tell(Err(known.code()));
        }
        known
    }
}

impl Future for PendingReply {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.outcome).poll(context);
        let Poll::Ready(outcome) = polled else { return Poll::Pending };
        let outcome = outcome.unwrap_or(Err(CallError::OutcomeUnknown));
        self.kept = None;
        if let Some(observed) = self.observed.take() {
            observed.tell(outcome.as_ref().map(|_| ()).map_err(CallError::code));
        }
        Poll::Ready(outcome)
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if self.kept.is_some() || self.observed.is_some() {
            let _ = self.give_up();
        }
    }
}
