//! Commands that are under way over a connection.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use tokio::{sync::oneshot, time::Instant};

use super::session;
use crate::{
    CallError, CastError, Failure, GaveUp, Outcome, Replied,
    error::{Ended, beginning},
};

/// Where the answer will come from.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) begun: Instant,
    pub(super) answer: oneshot::Receiver<session::Outcome>,
}

impl Receiver {
    async fn wait(self) -> session::Outcome {
        let Self { begun, answer } = self;
        // The driver answers whatever it took, unless its runtime is shut down under it.
        answer.await.unwrap_or_else(|_| {
            let elapsed = begun.elapsed();
            let last = Failure::Unanswered { waited: elapsed };
            let outcome = Outcome::Unknown;
            Err(Ended::GaveUp(Box::new(GaveUp {
                attempts: 1,
                elapsed,
                outcome,
                idempotency_key: None,
                last,
            })))
        })
    }
}

/// A call that was begun: its place in the order is fixed. Dropping it does not undo it.
#[derive(Debug)]
#[must_use = "the reply, or the reason why there is none, is only here"]
pub struct PendingCall<R> {
    receiver: Receiver,
    reply: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> PendingCall<R> {
    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn reply(self) -> Result<Replied<R>, CallError> {
        let (text, revision) = self.receiver.wait().await?;
        let reply = serde_json::from_str(&text)
            .map_err(|source| CallError::Decode { source, reply: beginning(text.as_bytes()) })?;
        Ok(Replied { reply, revision, request_id: None })
    }
}

impl<R> PendingCall<R> {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver, reply: PhantomData }
    }
}

/// A cast that was begun: its place in the order is fixed. Dropping it does not undo it.
#[derive(Debug)]
#[must_use = "whether it was committed is only known here"]
pub struct PendingCast {
    receiver: Receiver,
}

impl PendingCast {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }

    /// Waits until it is committed.
    ///
    /// # Errors
    ///
    /// [`CastError`].
    pub async fn accepted(self) -> Result<(), CastError> {
        self.receiver.wait().await?;
        Ok(())
    }
}
