//! What the gateway needs from the rest of the node.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};

use crate::{
    entity::KindDescription,
    protocol::{CallError, EntityId, EntityView, KindName, ListQuery, Page, Published, Reply, Request},
    router::Router,
};

/// The outcome of a request that was handed over. Dropping it stops waiting; the request itself goes on.
pub type Pending = BoxFuture<'static, Result<Reply, CallError>>;

/// Items of one entity. Ends when the subscriber is too slow or the node stops.
pub type Items = BoxStream<'static, Published>;

/// Where requests go. [`Router`] is one; tests script their own.
///
/// Rules: requests to one entity take effect in the order of [`start`](Self::start); a reply comes only after
/// everything it saw is committed. Implementations need not watch `request.timeout`: the gateway does.
pub trait Entities: Send + Sync + 'static {
    /// Hands a command over, now.
    ///
    /// # Errors
    ///
    /// At once, when it cannot be taken; nothing happened then.
    fn start(&self, request: Request) -> Result<Pending, CallError>;

    /// The state of an entity as its kind shows it.
    fn view(&self, id: EntityId, timeout: Duration) -> BoxFuture<'static, Result<EntityView, CallError>>;

    /// Entities of a kind, by key.
    fn list(&self, query: ListQuery, timeout: Duration) -> BoxFuture<'static, Result<Page, CallError>>;

    /// Items with a revision above `after`; `None`: from now on. The number is the revision behind which they are.
    fn subscribe(
        &self,
        id: EntityId,
        after: Option<u64>,
    ) -> BoxFuture<'static, Result<(u64, Items), CallError>>;

    /// The kinds of this node.
    fn kinds(&self) -> Vec<KindDescription>;
}

impl Entities for Router {
    fn start(&self, request: Request) -> Result<Pending, CallError> {
        check(&request.target.kind)?;
        Self::start(self, request).map(FutureExt::boxed)
    }

    fn view(&self, id: EntityId, timeout: Duration) -> BoxFuture<'static, Result<EntityView, CallError>> {
        let router = self.clone();
        async move {
            check(&id.kind)?;
            router.view(id, timeout).await
        }
        .boxed()
    }

    fn list(&self, query: ListQuery, timeout: Duration) -> BoxFuture<'static, Result<Page, CallError>> {
        let router = self.clone();
        async move {
            check(&query.kind)?;
            router.list(query, timeout).await
        }
        .boxed()
    }

    fn subscribe(
        &self,
        id: EntityId,
        after: Option<u64>,
    ) -> BoxFuture<'static, Result<(u64, Items), CallError>> {
        let router = self.clone();
        async move {
            check(&id.kind)?;
            let subscription = router.subscribe(id, after).await?;
            let revision = subscription.revision();
            let items = stream::unfold(subscription, async |mut subscription| {
                subscription.next().await.map(|item| (item, subscription))
            });
            Ok((revision, items.boxed()))
        }
        .boxed()
    }

    fn kinds(&self) -> Vec<KindDescription> {
        Self::kinds(self).into_iter().filter(|kind| !kind.kind.is_internal()).collect()
    }
}

/// A kind of the node's own is none for those outside.
fn check(kind: &KindName) -> Result<(), CallError> {
    if kind.is_internal() { Err(CallError::unknown_kind(kind)) } else { Ok(()) }
}
