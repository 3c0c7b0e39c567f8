//! What a handler may ask and state.

use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;
use compact_str::CompactString;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{Entity, Surroundings};
use crate::protocol::{Body, CallError, EntityId, Key, KindName, Reply, RequestId, codec};

/// The outcome of [`Context::call`], decoded.
pub type CallResult<R> = Result<R, CallError>;

/// The handler's view of the world, and the place where it states its effects.
///
/// ```
/// use playhouse::entity::{Context, Effects};
/// use playhouse::kinds::Counter;
/// use playhouse::protocol::Key;
/// use std::time::Duration;
///
/// let key = Key::new("visits").unwrap();
/// let mut context = Context::<Counter>::detached(&key, 1_000, 0);
/// context.save(Counter::default());
/// assert!(context.into_effects().is_write());
/// ```
#[derive(Debug)]
pub struct Context<'a, E: Entity> {
    key: &'a Key,
    now_ms: u64,
    revision: u64,
    request_id: Option<&'a RequestId>,
    /// `None`: outside of a node.
    surroundings: Option<&'a Surroundings>,
    effects: Effects<E>,
}

/// Everything that a handler stated. Exists only if the handler returned `Ok`.
pub struct Effects<E: Entity> {
    /// What becomes of the state.
    pub change: Change<E>,
    /// Messages to other entities.
    pub casts: Vec<OutgoingCast>,
    /// Timers set and cancelled, in order.
    pub timers: Vec<TimerChange>,
    /// Work that starts after the commit.
    pub spawns: Vec<SpawnedFuture<E>>,
    /// Items for subscribers, as JSON.
    pub published: Vec<Bytes>,
    /// Something that could not be encoded. The command counts as crashed.
    pub fault: Option<String>,
}

/// What becomes of the state.
#[derive(Debug)]
pub enum Change<E: Entity> {
    /// It stays.
    Keep,
    /// It is replaced.
    Save(E),
    /// Events are folded in.
    Emit(Vec<E::Event>),
    /// It is forgotten: the next command meets [`Entity::birth`].
    Remove,
}

/// A message to another entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingCast {
    /// To whom.
    pub target: EntityId,
    /// The command.
    pub body: Body,
}

/// A timer set or cancelled. A timer belongs to its entity and has a name; setting it again moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerChange {
    /// The command comes when the shard's clock has reached `at_ms`.
    Set {
        /// Which timer.
        name: CompactString,
        /// When, in milliseconds of the shard's clock.
        at_ms: u64,
        /// The command, encoded by the codec.
        command: Bytes,
    },
    /// It does not come.
    Cancel {
        /// Which timer.
        name: CompactString,
    },
}

/// Work that starts after the commit, whose result comes back as a command. Not durable.
pub enum SpawnedFuture<E: Entity> {
    /// The author's own future.
    Future(BoxFuture<'static, E::Command>),
    /// A call to another entity.
    Call {
        /// To whom.
        target: EntityId,
        /// The command.
        body: Body,
        /// How long to wait.
        timeout: Duration,
        /// Makes a command of the outcome.
        then: Box<dyn FnOnce(Result<Reply, CallError>) -> E::Command + Send>,
    },
}

impl<E: Entity> fmt::Debug for SpawnedFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Future(_) => f.write_str("Future"),
            Self::Call { target, .. } => f.debug_struct("Call").field("target", target).finish(),
        }
    }
}

impl<E: Entity> fmt::Debug for Effects<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects")
            .field("writes", &self.is_write())
            .field("casts", &self.casts)
            .field("timers", &self.timers)
            .field("spawns", &self.spawns)
            .field("published", &self.published.len())
            .finish_non_exhaustive()
    }
}

impl<E: Entity> Effects<E> {
    fn none() -> Self {
        Self {
            change: Change::Keep,
            casts: Vec::new(),
            timers: Vec::new(),
            spawns: Vec::new(),
            published: Vec::new(),
            fault: None,
        }
    }

    /// Whether anything must be committed. `false` makes the command a read.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.change, Change::Keep)
            || !self.casts.is_empty()
            || !self.timers.is_empty()
            || !self.published.is_empty()
    }
}

impl<'a, E: Entity> Context<'a, E> {
    /// A context for one command; `now_ms` is the shard's clock.
    #[must_use]
    pub fn new(key: &'a Key, now_ms: u64, revision: u64, request_id: Option<&'a RequestId>) -> Self {
        Self { key, now_ms, revision, request_id, surroundings: None, effects: Effects::none() }
    }

    /// A context outside of a node, for unit tests of kinds.
    #[must_use]
    pub fn detached(key: &'a Key, now_ms: u64, revision: u64) -> Self {
        Self::new(key, now_ms, revision, None)
    }

    /// What was stated so far.
    #[must_use]
    pub fn into_effects(self) -> Effects<E> {
        self.effects
    }

    /// Where handles are found.
    pub(crate) fn set_surroundings(&mut self, surroundings: &'a Surroundings) {
        self.surroundings = Some(surroundings);
    }

    /// Where handles are found.
    pub(crate) fn surroundings(&self) -> Option<&'a Surroundings> {
        self.surroundings
    }

    /// Puts `effects` in the place of what was stated so far.
    pub(crate) fn set_effects(&mut self, effects: Effects<E>) {
        self.effects = effects;
    }

    /// Which entity of its kind this is.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.key
    }

    /// The shard's clock in milliseconds since the Unix epoch. It never runs back, not even on failover.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How many times this entity has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The name of the request, if a client sent it.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.request_id
    }

    /// A handle of this type that the node provides: `process::ClusterNames` and `process::Distribution`, on nodes that have them,
    /// and what its program provided. For work that starts after the commit, such as a message to a process:
    ///
    /// ```
    /// # use playhouse::{entity::{Context, Entity}, process::{ClusterNames, Portable}};
    /// # fn tell<E: Entity, M: Portable>(context: &mut Context<'_, E>, message: M, told: E::Command) {
    /// if let Some(names) = context.given::<ClusterNames>() {
    ///     context.spawn(async move {
    ///         // At most once, as every cast to a process. What comes of it is a command.
    ///         let _ = names.cast("printer", message).await;
    ///         told
    ///     });
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn given<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.surroundings?.get()
    }

    /// Replaces the state. The last one stated counts. Not together with [`emit`](Self::emit): the command would
    /// count as crashed.
    pub fn save(&mut self, next: E) {
        self.refuse_mixture(|change| matches!(change, Change::Emit(_)));
        self.effects.change = Change::Save(next);
    }

    /// A working copy of the state, to be changed in place; taken from `current` the first time.
    pub fn state_mut(&mut self, current: &E) -> &mut E {
        self.refuse_mixture(|change| matches!(change, Change::Emit(_)));
        if !matches!(self.effects.change, Change::Save(_)) {
            self.effects.change = Change::Save(current.clone());
        }
        match &mut self.effects.change {
            Change::Save(next) => next,
            _ => unreachable!("it was made a Save above"),
        }
    }

    /// States that something happened. Folded in by [`Entity::apply`] after the handler returned `Ok`. Not together
    /// with [`save`](Self::save): the command would count as crashed.
    pub fn emit(&mut self, event: E::Event) {
        self.refuse_mixture(|change| matches!(change, Change::Save(_)));
        match &mut self.effects.change {
            Change::Emit(events) => events.push(event),
            other => *other = Change::Emit(vec![event]),
        }
    }

    /// Forgets the state: the next command meets [`Entity::birth`]. Timers and history go too.
    pub fn remove(&mut self) {
        self.effects.change = Change::Remove;
    }

    /// Sends a command to another entity: exactly one effect there if both kinds are `Replicated`.
    pub fn cast<T: Entity>(&mut self, key: Key, command: &T::Command) {
        if let Some(bytes) = self.encode(command) {
            self.effects.casts.push(OutgoingCast { target: entity_of::<T>(key), body: Body::binary(bytes) });
        }
    }

    /// Sends a JSON command to an entity whose Rust type is not known here.
    pub fn cast_json(&mut self, target: EntityId, command: &serde_json::Value) {
        let body = Body::json(command.to_string());
        self.effects.casts.push(OutgoingCast { target, body });
    }

    /// Sets the timer `name`: `command` comes when `after` has passed. Durable for `Replicated` kinds.
    pub fn set_timer(&mut self, name: &str, after: Duration, command: &E::Command) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.set_timer_at(name, self.now_ms.saturating_add(after_ms), command);
    }

    /// Sets the timer `name` to a time of the shard's clock, in milliseconds since the Unix epoch.
    pub fn set_timer_at(&mut self, name: &str, at_ms: u64, command: &E::Command) {
        if let Some(command) = self.encode(command) {
            self.effects.timers.push(TimerChange::Set { name: name.into(), at_ms, command });
        }
    }

    /// The timer `name` does not come. Cancelling one that is not set is allowed.
    pub fn cancel_timer(&mut self, name: &str) {
        self.effects.timers.push(TimerChange::Cancel { name: name.into() });
    }

    /// Starts `future` after the commit; its result comes back as a command. Not durable: set a timer to retry.
    pub fn spawn(&mut self, future: impl Future<Output = E::Command> + Send + 'static) {
        self.effects.spawns.push(SpawnedFuture::Future(Box::pin(future)));
    }

    /// Calls another entity after the commit; `then` makes a command of the outcome. Not durable.
    pub fn call<T: Entity>(
        &mut self,
        key: Key,
        command: &T::Command,
        timeout: Duration,
        then: impl FnOnce(CallResult<T::Reply>) -> E::Command + Send + 'static,
    ) {
        let Some(bytes) = self.encode(command) else { return };
        self.effects.spawns.push(SpawnedFuture::Call {
            target: entity_of::<T>(key),
            body: Body::binary(bytes),
            timeout,
            then: Box::new(|outcome| then(outcome.and_then(|reply| decode_reply::<T>(&reply)))),
        });
    }

    /// Gives `item` to all subscribers of this entity, after the commit and in order.
    pub fn publish(&mut self, item: &impl Serialize) {
        match serde_json::to_vec(item) {
            Ok(bytes) => self.effects.published.push(bytes.into()),
            Err(error) => self.effects.fault = Some(error.to_string()),
        }
    }

    /// One of the two would be lost in silence.
    fn refuse_mixture(&mut self, is_other: fn(&Change<E>) -> bool) {
        if is_other(&self.effects.change) {
            self.effects.fault = Some("one command both saved a state and emitted events".to_owned());
        }
    }

    fn encode<T: Serialize>(&mut self, value: &T) -> Option<Bytes> {
        match codec::encode(value) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                self.effects.fault = Some(error.to_string());
                None
            }
        }
    }
}

fn entity_of<T: Entity>(key: Key) -> EntityId {
    EntityId { kind: KindName::new(T::KIND).expect("the registry refuses kinds with a bad name"), key }
}

fn decode_reply<T: Entity>(reply: &Reply) -> CallResult<T::Reply> {
    codec::decode(&reply.body).map_err(|error| CallError::InvalidBody {
        path: ".".to_owned(),
        message: format!("the reply is not of the expected type: {error}"),
    })
}
