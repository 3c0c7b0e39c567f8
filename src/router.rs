//! Entity → shard → leader, local or remote.
//!
//! Comes in: a [`Request`]. Leaves: a [`Reply`] after everything it saw was committed, or a [`CallError`].
//! The router numbers what it sends to a shard, keeps it until it is acknowledged, and sends it again in order
//! when leadership moved.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    entity::KindDescription,
    protocol::{CallError, EntityId, EntityView, ListQuery, Page, Published, Reply, Request},
};

/// Sends requests to entities, wherever they are. A cheap handle.
#[derive(Clone)]
pub struct Router {}

/// A request under way. Dropping it stops waiting; the request itself goes on.
pub struct PendingReply {
    outcome: oneshot::Receiver<Result<Reply, CallError>>,
}

impl Future for PendingReply {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(context).map(|end| end.unwrap_or(Err(CallError::OutcomeUnknown)))
    }
}

/// Items of one entity from some revision on, in order, at least once. Dropping it ends the subscription.
pub struct Subscription {
    items: mpsc::Receiver<Published>,
}

impl Subscription {
    /// The next item; `None` when the subscription ended (too slow, or the node stops): subscribe again behind
    /// the last revision that was seen.
    pub async fn next(&mut self) -> Option<Published> {
        self.items.recv().await
    }
}

impl Router {
    /// Hands the request over now, in the order of the calls; the reply comes later. Casts from clients wait for
    /// this reply too (202 after commit) and drop its body.
    ///
    /// # Errors
    ///
    /// [`CallError`], at once, when the request cannot be taken.
    pub fn start(&self, request: Request) -> Result<PendingReply, CallError> {
        let _ = request;
        Err(CallError::Draining)
    }

    /// Sends the request and waits for the reply, at most `request.timeout`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn call(&self, request: Request) -> Result<Reply, CallError> {
        let timeout = request.timeout;
        let reply = self.start(request)?;
        tokio::time::timeout(timeout, reply).await.unwrap_or(Err(CallError::DeadlineExceeded))
    }

    /// The state of an entity as its kind shows it. Linearizable.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn view(&self, id: EntityId, timeout: Duration) -> Result<EntityView, CallError> {
        let _ = (id, timeout);
        Err(CallError::Draining)
    }

    /// Entities of a kind, by key.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn list(&self, query: ListQuery, timeout: Duration) -> Result<Page, CallError> {
        let _ = (query, timeout);
        Err(CallError::Draining)
    }

    /// Items that the entity publishes with a revision above `after`; `None`: from now on.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn subscribe(&self, id: EntityId, after: Option<u64>) -> Result<Subscription, CallError> {
        let _ = (id, after);
        Err(CallError::Draining)
    }

    /// The kinds that this node knows.
    #[must_use]
    pub fn kinds(&self) -> Vec<KindDescription> {
        Vec::new()
    }
}
