//! Entities that do what a test says.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future, future::BoxFuture, stream};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{Entities, Items, Pending};
use crate::{
    entity::{KindDescription, KindRegistry},
    kinds::Counter,
    protocol::{CallError, EntityId, EntityView, Key, ListQuery, Page, Published, Reply, Request, ShardId},
};

/// What becomes of a command.
pub(in crate::gateway) enum Outcome {
    /// An answer, at once.
    Now(Result<Reply, CallError>),
    /// Not even taken.
    NotTaken(CallError),
    /// An answer when the test gives it.
    Later(oneshot::Receiver<Result<Reply, CallError>>),
    /// No answer, ever.
    Never,
}

impl Outcome {
    pub(in crate::gateway) fn value(value: u32) -> Self {
        Self::Now(Ok(Reply { body: format!(r#"{{"value":{value}}}"#).into(), revision: 7 }))
    }
}

type Script = Box<dyn Fn(&Request) -> Outcome + Send + Sync>;

pub(in crate::gateway) struct Scripted {
    script: Script,
    /// Every command, in the order in which it was handed over.
    pub(in crate::gateway) seen: Mutex<Vec<Request>>,
    /// Every list query.
    pub(in crate::gateway) listed: Mutex<Vec<ListQuery>>,
    /// What a subscriber gets; afterwards the subscription stays open if `items_stay_open`.
    pub(in crate::gateway) items: Vec<Published>,
    pub(in crate::gateway) items_stay_open: bool,
    /// Why views and lists fail, if they do.
    pub(in crate::gateway) views_fail: Option<CallError>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new(|_| Outcome::value(1))
    }
}

impl Scripted {
    pub(in crate::gateway) fn new(script: impl Fn(&Request) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            seen: Mutex::default(),
            listed: Mutex::default(),
            items: Vec::new(),
            items_stay_open: true,
            views_fail: None,
        }
    }

    /// Whether a view or a list can end with this error at all.
    pub(in crate::gateway) fn fails_to_show(error: &CallError) -> bool {
        !matches!(
            error,
            CallError::InvalidBody { .. } | CallError::Refused(_) | CallError::IdempotencyMismatch
        )
    }

    pub(in crate::gateway) fn with_items(items: Vec<Published>, items_stay_open: bool) -> Self {
        Self { items, items_stay_open, ..Self::default() }
    }
}

impl Entities for Scripted {
    fn start(&self, request: Request) -> Result<Pending, CallError> {
        let outcome = (self.script)(&request);
        self.seen.lock().push(request);
        match outcome {
            Outcome::Now(reply) => Ok(future::ready(reply).boxed()),
            Outcome::NotTaken(error) => Err(error),
            Outcome::Later(reply) => {
                Ok(reply.map(|end| end.unwrap_or(Err(CallError::OutcomeUnknown))).boxed())
            }
            Outcome::Never => Ok(future::pending().boxed()),
        }
    }

    fn view(&self, id: EntityId, _: Duration) -> BoxFuture<'static, Result<EntityView, CallError>> {
        if let Some(error) = self.views_fail.clone() {
            return future::ready(Err(error)).boxed();
        }
        let found = if id.kind.as_str() == "counter" {
            Ok(EntityView {
                id,
                shard: ShardId(3),
                revision: 7,
                state: Bytes::from_static(b"{\"value\": 1}"),
            })
        } else {
            Err(CallError::UnknownKind { kind: id.kind.to_string() })
        };
        future::ready(found).boxed()
    }

    fn list(&self, query: ListQuery, _: Duration) -> BoxFuture<'static, Result<Page, CallError>> {
        if let Some(error) = self.views_fail.clone() {
            return future::ready(Err(error)).boxed();
        }
        let found = if query.kind.as_str() == "counter" {
            let key = |key: &str| Key::new(key).unwrap();
            Ok(Page { entities: vec![(key("a"), 1), (key("b/c"), 2)], next_after: Some(key("b/c")) })
        } else {
            Err(CallError::UnknownKind { kind: query.kind.to_string() })
        };
        self.listed.lock().push(query);
        future::ready(found).boxed()
    }

    fn subscribe(
        &self,
        _: EntityId,
        after: Option<u64>,
    ) -> BoxFuture<'static, Result<(u64, Items), CallError>> {
        if after == Some(u64::MAX) {
            let reason = "no such revision".to_owned();
            return future::ready(Err(CallError::Subscription { reason })).boxed();
        }
        let items = stream::iter(self.items.clone());
        let items = if self.items_stay_open { items.chain(stream::pending()).boxed() } else { items.boxed() };
        future::ready(Ok((after.unwrap_or_default(), items))).boxed()
    }

    fn kinds(&self) -> Vec<KindDescription> {
        let mut registry = KindRegistry::default();
        registry.register::<Counter>().unwrap();
        registry.descriptions().cloned().collect()
    }
}
