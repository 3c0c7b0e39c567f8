//! What shards of this node send to other shards.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use playhouse_cluster::consensus::Term;

use super::{
    Router,
    stream::{Outbound, Stream, Waiter},
};
use crate::{
    entity::KindIndex,
    protocol::{Body, CallError, EntityId, Reply, Request, RequestId, ShardId},
    shard::{Cast, CastOutcome, Message, More, Outgoing, StreamId},
};

/// Casts of one shard to another, in one term of the sender.
pub(super) struct CastStream {
    term: Term,
    pub(super) stream: Arc<Stream>,
}

/// How often one term of a shard may begin to send again.
const GENERATIONS_PER_TERM: u64 = 1 << 32;

impl Outgoing for Router {
    fn cast(&self, cast: Cast) {
        let kind = self.kind(&cast.target.kind);
        if self.is_numbered(kind) {
            return self.cast_durable(kind, cast);
        }
        // A `Volatile` target gets it once, at most.
        let outcome = match self.post(cast.target, kind, cast.body) {
            Ok(()) => CastOutcome::Executed,
            Err(error) => CastOutcome::Undeliverable { reason: error.to_string() },
        };
        self.cast_done(cast.source, cast.number, outcome);
    }

    fn cast_once(&self, target: EntityId, body: Body) {
        let sent = self.post(target.clone(), self.kind(&target.kind), body);
        if let Err(error) = sent {
            tracing::debug!(%target, %error, "a cast of a volatile entity was lost");
        }
    }

    fn call(
        &self,
        target: EntityId,
        body: Body,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Reply, CallError>> {
        let request_id = RequestId::random(self.environment());
        let request = Request { target, body, request_id, idempotency_key: None, timeout, trace: None };
        let router = self.clone();
        Box::pin(async move { router.call(request).await })
    }
}

impl Router {
    fn cast_durable(&self, kind: KindIndex, cast: Cast) {
        let stream = self.cast_stream(cast.target.shard(self.shards()), cast.source, cast.term);
        let Some(stream) = stream else { return };
        let (router, source, number) = (self.clone(), cast.source, cast.number);
        let hear = move |outcome| router.cast_done(source, number, delivered(outcome));
        let waiter = Waiter::Outbox(Box::new(hear));
        let more = More::naming(kind, &cast.target.kind);
        let (key, body) = (cast.target.key, cast.body);
        let outbound = Outbound { kind, key, body, deadline: None, more, waiter };
        stream.send_numbered(number, outbound);
    }

    /// The stream from `source` to `target`; a new term of the sender begins it again. `None` for a former term.
    fn cast_stream(&self, target: ShardId, source: ShardId, term: Term) -> Option<Arc<Stream>> {
        let route = self.route(target);
        let mut casts = route.casts.lock();
        // Read under the lock: a change of the destination reaches all streams that are known by then.
        let destination = route.destination.borrow().clone();
        let known = casts.get(&source).map(|known| known.term);
        if known.is_some_and(|known| known > term) {
            return None;
        }
        if known != Some(term) {
            let generation = term.0.saturating_mul(GENERATIONS_PER_TERM);
            let stream = Stream::new(StreamId::Shard(source), target, generation, self.environment().clone());
            stream.redirect(destination);
            casts.insert(source, CastStream { term, stream });
        }
        casts.get(&source).map(|cast| Arc::clone(&cast.stream))
    }

    fn cast_done(&self, source: ShardId, number: u64, outcome: CastOutcome) {
        // If the sender's term is over, its successor sends the cast again and hears that it was executed.
        if let Some(mailbox) = self.mailbox(source) {
            drop(mailbox.push(Message::CastDone { number, outcome }));
        }
    }
}

fn delivered(outcome: Result<Reply, CallError>) -> CastOutcome {
    match outcome {
        Ok(_) | Err(CallError::Refused(_)) => CastOutcome::Executed,
        Err(error) => CastOutcome::Undeliverable { reason: error.to_string() },
    }
}
