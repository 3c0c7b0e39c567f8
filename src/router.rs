//! Entity → shard → leader, local or remote.
//!
//! Comes in: a [`Request`]. Leaves: a [`Reply`] after everything it saw was committed, or a [`CallError`].
//! The router numbers what it sends to a shard, keeps it until it is acknowledged, and sends it again in order
//! when leadership moved.

mod entity_ref;
mod lanes;
mod looks;
mod outgoing;
mod pending_reply;
mod remote;
mod route;
mod stream;

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use playhouse_cluster::{
    consensus::{RaftId, Term},
    environment::Environment,
};
use tokio::{sync::oneshot, time::Instant};

pub use entity_ref::{CALL_TIMEOUT, EntityRef};
pub use lanes::EntityLane;
pub use looks::{DeadLetters, Subscription};
use pending_reply::Observed;
pub use pending_reply::{AnswerObserver, PendingReply};
pub use remote::{Carrier, CarrierError, Executors, News, Remote, ServeError, Serving};
use route::Route;
use stream::{Outbound, Waiter};

use crate::{
    entity::{KindDescription, KindIndex, KindRegistry},
    protocol::{Body, CallError, EntityId, Key, KindName, Payload, Reply, Request, ShardId},
    shard::{Envelope, Mailbox, MailboxError, Message, More, ReplyTo, StreamId},
};

/// Sends requests to entities, wherever they are. A cheap handle.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

struct Inner {
    environment: Environment,
    kinds: Arc<KindRegistry>,
    shards: NonZeroU16,
    routes: Vec<Route>,
    /// Peers that ask, by lane.
    servings: Mutex<Vec<Serving>>,
    /// Peers that are asked, by lane.
    remotes: Mutex<Vec<Remote>>,
    is_draining: AtomicBool,
    answered: AnswerObserver,
}

/// Who this router is, to the shards that it sends to.
#[derive(Clone, Copy, Debug)]
pub struct RouterIdentity {
    /// The node's Raft id.
    pub node: u64,
    /// Since which start.
    pub incarnation: u64,
}

impl Router {
    /// A router that knows no leader yet.
    #[must_use]
    pub fn new(
        identity: RouterIdentity,
        shards: NonZeroU16,
        kinds: Arc<KindRegistry>,
        environment: Environment,
        answered: AnswerObserver,
    ) -> Self {
        let id = StreamId::Router { node: identity.node, incarnation: identity.incarnation };
        let route = |shard| Route::new(ShardId(shard), id, environment.clone());
        let routes = (0..shards.get()).map(route).collect();
        let is_draining = AtomicBool::new(false);
        let (servings, remotes) = (Mutex::default(), Mutex::default());
        let inner = Inner { environment, kinds, shards, routes, servings, remotes, is_draining, answered };
        Self { inner: Arc::new(inner) }
    }

    /// The shard is executed on this node from now on, or no longer. Unanswered requests are sent again, and peers are
    /// told.
    pub fn set_executor(&self, shard: ShardId, executor: Option<(Term, Mailbox)>) {
        let term = executor.as_ref().map(|(term, _)| *term);
        self.route(shard).set_here(executor, self.inner.environment.now());
        let servings = self.inner.servings.lock().clone();
        servings.iter().for_each(|serving| serving.tell(shard, term));
    }

    /// Takes no more requests of clients. What is under way goes on.
    pub fn drain(&self) {
        self.inner.is_draining.store(true, Ordering::Release);
    }

    /// How many requests of clients are unanswered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.inner.routes.iter().map(|route| route.requests.len()).sum()
    }

    /// How many messages and bytes wait in the mailboxes of this node.
    #[must_use]
    pub fn mailbox_depth(&self) -> (usize, usize) {
        let depth = |route: &Route| route.mailbox().map_or((0, 0), |mailbox| mailbox.depth());
        let add = |sum: (usize, usize), next: (usize, usize)| (sum.0 + next.0, sum.1 + next.1);
        self.inner.routes.iter().map(depth).fold((0, 0), add)
    }

    /// How many shards are executed on this node.
    #[must_use]
    pub fn led_shards(&self) -> usize {
        self.inner.routes.iter().filter(|route| route.term_here().is_some()).count()
    }

    /// How many shards have a leader that this node knows.
    #[must_use]
    pub fn reachable_shards(&self) -> usize {
        self.inner.routes.iter().filter(|route| route.destination.borrow().is_some()).count()
    }

    /// Which peer leads the shard, or this node (`Some(None)`), if anybody does.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<Option<RaftId>> {
        self.route(shard).leader()
    }

    /// Hands the request over now, in the order of the calls; the reply comes later. Casts from clients wait for
    /// this reply too (202 after commit) and drop its body.
    ///
    /// # Errors
    ///
    /// [`CallError`], at once, when the request cannot be taken.
    pub fn start(&self, request: Request) -> Result<PendingReply, CallError> {
        if self.inner.is_draining.load(Ordering::Acquire) {
            return Err(CallError::Draining);
        }
        let kind = self.kind(&request.target.kind);
        let (tell, outcome) = oneshot::channel();
        let shard = request.target.shard(self.inner.shards);
        let route = self.route(shard);
        let now = self.inner.environment.now();
        let deadline = now + request.timeout;
        let more = More {
            arrived: Some(now),
            request_id: Some(request.request_id),
            idempotency_key: request.idempotency_key,
            trace: request.trace,
            kind: (!kind.is_known()).then_some(request.target.kind),
        };
        let observed = Observed { observer: Arc::clone(&self.inner.answered), kind, arrived: now };
        let (key, body, more) = (request.target.key, request.body, Some(Box::new(more)));
        if self.is_numbered(kind) {
            let (deadline, waiter) = (Some(deadline), Waiter::Caller(tell));
            let number = route.requests.send(Outbound { kind, key, body, deadline, more, waiter })?;
            return Ok(PendingReply::new(outcome, Some((Arc::clone(&route.requests), number)), observed));
        }
        let (body, reply) = (body.into(), ReplyTo::Caller(tell));
        let envelope = Envelope { kind, key, body, reply, position: None, deadline: Some(deadline), more };
        self.push(shard, Message::Command(envelope))?;
        Ok(PendingReply::new(outcome, None, observed))
    }

    /// As [`start`](Self::start), for Rust code on this node that calls a `Volatile` entity: it has no request id.
    fn start_volatile(&self, to: Place, body: Payload, deadline: Instant) -> Result<PendingReply, CallError> {
        if self.inner.is_draining.load(Ordering::Acquire) {
            return Err(CallError::Draining);
        }
        let (tell, outcome) = oneshot::channel();
        let deadline = Some(deadline);
        let (Place { kind, shard, key, more }, reply) = (to, ReplyTo::Caller(tell));
        let envelope = Envelope { kind, key, body, reply, position: None, deadline, more };
        self.push(shard, Message::Command(envelope))?;
        Ok(PendingReply::unobserved(outcome))
    }

    /// Sends the request and waits for the reply, at most `request.timeout`.
    ///
    /// # Errors
    ///
    /// [`CallError`]; when the deadline passes, the most that is known: [`CallError::OutcomeUnknown`] if it may have
    /// happened and leadership moved, else [`CallError::DeadlineExceeded`].
    pub async fn call(&self, request: Request) -> Result<Reply, CallError> {
        let timeout = request.timeout;
        let mut pending = self.start(request)?;
        match tokio::time::timeout(timeout, &mut pending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(pending.give_up()),
        }
    }

    /// Sends a command and waits for nothing: at most once, in order per sender. For Rust code on this node. `kind` is
    /// [that](Self::kind) of the target.
    ///
    /// # Errors
    ///
    /// [`CallError`], at once, when it cannot be taken.
    pub fn post(&self, target: EntityId, kind: KindIndex, body: Body) -> Result<(), CallError> {
        let (shard, more) = (target.shard(self.inner.shards), More::naming(kind, &target.kind));
        self.post_to(Place { kind, shard, key: target.key, more }, body.into())
    }

    fn post_to(&self, to: Place, body: Payload) -> Result<(), CallError> {
        let (Place { kind, shard, key, more }, reply) = (to, ReplyTo::Nobody);
        let envelope = Envelope { kind, key, body, reply, position: None, deadline: None, more };
        self.push(shard, Message::Command(envelope))
    }

    /// The kinds that this node knows.
    #[must_use]
    pub fn kinds(&self) -> Vec<KindDescription> {
        self.inner.kinds.descriptions().cloned().collect()
    }

    /// The position of a kind in this node's registry. One that it does not have is no error here: the node that leads
    /// the shard may run another release, and only its executor can tell.
    #[must_use]
    pub fn kind(&self, name: &KindName) -> KindIndex {
        self.inner.kinds.find(name).unwrap_or(KindIndex::UNKNOWN)
    }

    /// Whether commands of that kind go by a stream, to be sent again after a move. A kind that only the leader knows does:
    /// if it is `Volatile` there, nothing is lost by it but a little work.
    fn is_numbered(&self, kind: KindIndex) -> bool {
        self.inner.kinds.describe(kind).is_none_or(|kind| kind.durable)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> NonZeroU16 {
        self.inner.shards
    }

    /// Clock, tasks and random numbers of this node.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.inner.environment
    }

    fn route(&self, shard: ShardId) -> &Route {
        &self.inner.routes[usize::from(shard.0)]
    }

    /// Where the executor of a shard on this node takes messages.
    fn mailbox(&self, shard: ShardId) -> Option<Mailbox> {
        self.route(shard).mailbox()
    }

    /// Gives a message to the executor of a shard, wherever it is.
    fn push(&self, shard: ShardId, message: Message) -> Result<(), CallError> {
        let destination = self.route(shard).destination.borrow();
        let Some(destination) = destination.as_ref() else { return Err(no_leader(shard)) };
        match destination.push(shard, message) {
            Ok(()) => Ok(()),
            Err(MailboxError::Full(_)) => {
                Err(CallError::Overloaded { what: "the mailbox of this shard is full".to_owned() })
            }
            Err(MailboxError::Closed(_)) => Err(no_leader(shard)),
        }
    }
}

/// Where an entity is found: what its id was hashed and looked up for, once.
struct Place {
    kind: KindIndex,
    shard: ShardId,
    key: Key,
    /// [The name of the kind](More::naming), if it must travel.
    more: Option<Box<More>>,
}

fn no_leader(shard: ShardId) -> CallError {
    CallError::Unavailable { shard: shard.0, reason: "it has no leader that this node knows".to_owned() }
}

/// How long work inside the node may wait for a shard to get a leader.
const INTERNAL_TIMEOUT: Duration = Duration::from_secs(30);
