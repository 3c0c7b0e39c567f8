//! The resident entities of one kind in one shard: wake, execute, passivate.
//!
//! Comes in: encoded commands. Leaves: encoded replies and effects. The shard keeps the effects and decides
//! when anything of it may be seen.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use playhouse_cluster::{collections::Hasher, store::StoreError};

use super::{
    Change, Context, Durability, Effects, Entity, OutgoingCast, SchemaVersion, SpawnedFuture, TimerChange,
    crashes::Crashes,
};
use crate::protocol::{Body, CallError, Content, Key, Refused, RequestId, codec};

/// How large things may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Encoded state of one entity, in bytes.
    pub state_bytes_max: usize,
    /// Encoded reply, in bytes.
    pub reply_bytes_max: usize,
    /// Everything that one command puts into a proposal, in bytes.
    pub effects_bytes_max: usize,
    /// How many casts one command may state.
    pub casts_max: usize,
    /// An event-sourced entity writes an image when the events since the last one have this many bytes.
    pub image_every_bytes: usize,
    /// More crashes than this within [`crash_window_ms`](Self::crash_window_ms) quarantine the entity.
    pub crashes_max: u32,
    /// See [`crashes_max`](Self::crashes_max).
    pub crash_window_ms: u64,
    /// For how long a quarantined entity refuses commands.
    pub quarantine_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            state_bytes_max: 1 << 20,
            reply_bytes_max: 1 << 20,
            effects_bytes_max: 4 << 20,
            casts_max: 1_000,
            image_every_bytes: 64 << 10,
            crashes_max: 3,
            crash_window_ms: 10_000,
            quarantine_ms: 30_000,
        }
    }
}

/// A command on its way into a handler.
pub enum Command {
    /// From a client, another entity or a timer.
    Encoded(Body),
    /// The result of [`Context::spawn`]: the kind's own command type.
    Typed(Box<dyn Any + Send>),
}

/// What a command met and what it may use.
pub struct Scope<'a> {
    /// The shard's clock, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The name of the request, if a client sent it.
    pub request_id: Option<&'a RequestId>,
    /// What is stored, with everything that is executed but not applied yet.
    pub records: &'a dyn Records,
    /// How large things may be.
    pub limits: &'a Limits,
    /// The proposal that effects of this command will be part of.
    pub proposal: u64,
    /// How many casts the outbox has room for.
    pub casts_room: usize,
}

/// Reads what is stored of an entity.
pub trait Records {
    /// The image and the events behind it.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load(&self, kind: &str, key: &Key) -> Result<Option<Stored>, StoreError>;
}

/// What is stored of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The last image.
    pub image: Image,
    /// Events behind the image, in order.
    pub events: Vec<(SchemaVersion, Bytes)>,
}

/// A state as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Image {
    /// The schema version of [`bytes`](Self::bytes).
    pub schema: SchemaVersion,
    /// How many times the entity had changed.
    pub revision: u64,
    /// The number of the last event that is part of it.
    pub event: u64,
    /// The encoded state.
    pub bytes: Bytes,
}

/// What becomes of the stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// It stays.
    Keep,
    /// The image is replaced; events up to `image.event`, from `events_from` on, are removed.
    Image {
        /// The new image.
        image: Image,
        /// The first event that the old record had behind its image.
        events_from: u64,
    },
    /// Events are added behind the image; `first` is the number of the first one.
    Events {
        /// Its number.
        first: u64,
        /// Encoded, with their schema version.
        events: Vec<(SchemaVersion, Bytes)>,
    },
    /// Image and events (`events_from..=events_to`) are removed.
    Remove {
        /// The first event behind the image.
        events_from: u64,
        /// The last one.
        events_to: u64,
    },
}

/// Effects of one command, encoded.
pub struct Executed {
    /// What becomes of the stored record.
    pub record: RecordChange,
    /// Messages to other entities.
    pub casts: Vec<OutgoingCast>,
    /// Timers set and cancelled.
    pub timers: Vec<TimerChange>,
    /// Items for subscribers.
    pub published: Vec<Bytes>,
    /// Work that starts after the commit.
    pub spawns: Vec<Spawn>,
    /// Whether the command wrote anything.
    pub is_write: bool,
}

/// Work that starts after the commit; its result is a typed command.
pub enum Spawn {
    /// The author's own future.
    Future(futures_util::future::BoxFuture<'static, Box<dyn Any + Send>>),
    /// A call to another entity.
    Call {
        /// To whom.
        target: crate::protocol::EntityId,
        /// The command.
        body: Body,
        /// How long to wait.
        timeout: std::time::Duration,
        /// Makes a typed command of the outcome.
        then: CallThen,
    },
}

/// Makes a typed command of the outcome of a call.
pub type CallThen =
    Box<dyn FnOnce(Result<crate::protocol::Reply, CallError>) -> Box<dyn Any + Send> + Send>;

/// The outcome of one command.
pub struct Outcome {
    /// The encoded reply, or why there is none (then there are no effects either).
    pub reply: Result<Bytes, CallError>,
    /// How many times the entity has changed by now.
    pub revision: u64,
    /// The proposal that the state it saw is part of; 0 when all of that was applied before.
    pub saw: u64,
    /// Effects, if the command succeeded.
    pub executed: Option<Executed>,
}

/// Counts what happened, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStatistics {
    /// Entities in memory.
    pub resident: usize,
    /// Their estimated size, in bytes.
    pub resident_bytes: usize,
    /// Entities woken so far.
    pub woken: u64,
    /// Entities passivated so far.
    pub passivated: u64,
    /// Handlers that panicked so far.
    pub crashed: u64,
}

/// The resident entities of one kind; the shard knows only this.
pub trait Table: Send {
    /// Whether the kind is `Volatile`.
    fn is_volatile(&self) -> bool;

    /// Executes a command and keeps its new state; the caller must propose its effects.
    fn execute(&mut self, key: &Key, command: Command, scope: &Scope<'_>) -> Outcome;

    /// The state as the kind shows it, as JSON; [`Outcome::executed`] is `None`.
    fn view(&mut self, key: &Key, scope: &Scope<'_>) -> Outcome;

    /// Forgets up to `count_max` residents that were not used since `idle_before_ms` and whose effects are all
    /// applied (their proposals are at most `applied`). Returns how many.
    fn passivate(&mut self, idle_before_ms: u64, applied: u64, count_max: usize) -> usize;

    /// Counts.
    fn statistics(&self) -> TableStatistics;
}

/// An entity in memory.
struct Resident<E> {
    state: E,
    revision: u64,
    /// The number of the last event, stored or stated.
    event: u64,
    /// The last event that is part of the image.
    image_event: u64,
    /// The last proposal with effects of this entity.
    proposal: u64,
    used_ms: u64,
    bytes: u32,
    event_bytes: u32,
    has_image: bool,
}

/// The resident entities of kind `E` in one shard.
pub(crate) struct TypedTable<E: Entity> {
    #[allow(clippy::disallowed_types)] // Seeded by the environment: keys are chosen by clients.
    residents: std::collections::HashMap<Key, Resident<E>, Hasher>,
    crashes: Crashes,
    statistics: TableStatistics,
    /// Where the next search for idle residents begins.
    sweep: usize,
}

impl<E: Entity> TypedTable<E> {
    #[allow(clippy::disallowed_types)]
    pub(crate) fn new(hasher: Hasher) -> Self {
        Self {
            residents: std::collections::HashMap::with_hasher(hasher),
            crashes: Crashes::default(),
            statistics: TableStatistics::default(),
            sweep: 0,
        }
    }

    /// Makes the entity resident, if it is not.
    fn wake(&mut self, key: &Key, scope: &Scope<'_>) -> Result<(), CallError> {
        if self.residents.contains_key(key) {
            return Ok(());
        }
        let stored = match E::DURABILITY {
            Durability::Volatile => None,
            Durability::Replicated => scope.records.load(E::KIND, key).map_err(|error| {
                CallError::UnreadableState { entity: entity_name::<E>(key), reason: error.to_string() }
            })?,
        };
        let woken = catch_unwind(AssertUnwindSafe(|| revive::<E>(key, stored)));
        let resident = woken.map_err(|_| self.crashed(key, scope))??;
        self.statistics.woken += 1;
        self.statistics.resident_bytes += resident.bytes as usize;
        self.residents.insert(key.clone(), resident);
        Ok(())
    }

    /// Notes a crash. The entity is woken again from what is stored and in the pipeline.
    fn crashed(&mut self, key: &Key, scope: &Scope<'_>) -> CallError {
        self.forget(key);
        self.statistics.crashed += 1;
        self.crashes.note(key, scope.now_ms, scope.limits);
        tracing::error!(kind = E::KIND, %key, "a handler panicked; the entity is as it was");
        CallError::Crashed
    }

    fn forget(&mut self, key: &Key) {
        if let Some(resident) = self.residents.remove(key) {
            self.statistics.resident_bytes -= resident.bytes as usize;
        }
    }

    fn refused(&self, key: &Key, error: CallError) -> Outcome {
        let resident = self.residents.get(key);
        Outcome {
            reply: Err(error),
            revision: resident.map_or(0, |resident| resident.revision),
            saw: resident.map_or(0, |resident| resident.proposal),
            executed: None,
        }
    }

    fn run(&mut self, key: &Key, command: Command, scope: &Scope<'_>) -> Result<(Bytes, Executed), CallError> {
        self.crashes.check(key, scope.now_ms, scope.limits)?;
        let (command, content) = decode_command::<E>(command)?;
        self.wake(key, scope)?;
        let resident = self.residents.get(key).expect("it was woken above");
        let mut context = Context::<E>::new(key, scope.now_ms, resident.revision, scope.request_id);
        let handled = catch_unwind(AssertUnwindSafe(|| {
            let handled = resident.state.handle(command, &mut context);
            handled.map(|reply| encode_reply(&reply, content)).map_err(|refusal| refused(&refusal))
        }));
        let reply = match handled {
            Err(_) => return Err(self.crashed(key, scope)),
            Ok(Err(refusal)) => return Err(CallError::Refused(refusal)),
            Ok(Ok(reply)) => reply,
        };
        let effects = context.into_effects();
        if let Some(fault) = effects.fault.as_ref().or(reply.as_ref().err()) {
            tracing::error!(kind = E::KIND, %key, fault, "a handler stated something that cannot be encoded");
            return Err(self.crashed(key, scope));
        }
        let reply = reply.unwrap_or_default();
        check("the reply", reply.len(), scope.limits.reply_bytes_max)?;
        self.accept(key, effects, scope).map(|executed| (reply, executed))
    }

    /// Checks the bounds, encodes the effects, and makes the new state the current one.
    fn accept(
        &mut self,
        key: &Key,
        mut effects: Effects<E>,
        scope: &Scope<'_>,
    ) -> Result<Executed, CallError> {
        let is_write = effects.is_write();
        check_casts(&effects, scope)?;
        let change = std::mem::replace(&mut effects.change, Change::Keep);
        let next = match self.next_state(key, change, scope) {
            Ok(next) => next?,
            Err(_) => return Err(self.crashed(key, scope)),
        };
        let size = next.record_bytes()
            + effects.casts.iter().map(|cast| cast.body.len() + 600).sum::<usize>()
            + effects.timers.iter().map(timer_bytes).sum::<usize>()
            + effects.published.iter().map(Bytes::len).sum::<usize>();
        check("what the command states", size, scope.limits.effects_bytes_max)?;
        let record = self.adopt(key, next, scope, is_write);
        Ok(Executed {
            record,
            casts: effects.casts,
            timers: effects.timers,
            published: effects.published,
            spawns: effects.spawns.into_iter().map(erase::<E>).collect(),
            is_write,
        })
    }

    /// Folds the change in and encodes it. The outer error is a panic of [`Entity::apply`].
    #[allow(clippy::type_complexity)]
    fn next_state(
        &self,
        key: &Key,
        change: Change<E>,
        scope: &Scope<'_>,
    ) -> Result<Result<Next<E>, CallError>, ()> {
        let resident = self.residents.get(key).expect("it was woken before");
        let folded = catch_unwind(AssertUnwindSafe(|| match change {
            Change::Keep => Ok(Next::Keep),
            Change::Remove => Ok(Next::Remove(E::birth(key))),
            Change::Save(state) => encode_image(state, scope.limits),
            Change::Emit(events) => fold_events(resident, events, scope.limits),
        }));
        folded.map_err(|_| ())
    }

    fn adopt(&mut self, key: &Key, next: Next<E>, scope: &Scope<'_>, is_write: bool) -> RecordChange {
        let resident = self.residents.get_mut(key).expect("it was woken before");
        resident.used_ms = scope.now_ms;
        if is_write {
            resident.proposal = scope.proposal;
        }
        let before = resident.bytes;
        let record = resident.change(next);
        self.statistics.resident_bytes =
            self.statistics.resident_bytes + resident.bytes as usize - before as usize;
        record
    }
}

/// A state that passed all checks.
enum Next<E> {
    Keep,
    Image { state: E, bytes: Bytes },
    Events { state: E, events: Vec<(SchemaVersion, Bytes)>, image: Option<Bytes> },
    Remove(E),
}

impl<E> Next<E> {
    fn record_bytes(&self) -> usize {
        match self {
            Self::Keep | Self::Remove(_) => 0,
            Self::Image { bytes, .. } => bytes.len(),
            Self::Events { events, image, .. } => {
                let events: usize = events.iter().map(|(_, bytes)| bytes.len() + 600).sum();
                events + image.as_ref().map_or(0, Bytes::len)
            }
        }
    }
}

impl<E: Entity> Resident<E> {
    fn change(&mut self, next: Next<E>) -> RecordChange {
        let events_from = self.image_event + 1;
        match next {
            Next::Keep => RecordChange::Keep,
            Next::Image { state, bytes } => {
                self.state = state;
                self.revision += 1;
                self.image(bytes, events_from)
            }
            Next::Events { state, events, image } => {
                self.state = state;
                let first = self.event + 1;
                self.event += events.len() as u64;
                self.revision += events.len() as u64;
                match image {
                    Some(bytes) => self.image(bytes, events_from),
                    None => {
                        self.event_bytes += u32_of(events.iter().map(|(_, bytes)| bytes.len()).sum());
                        RecordChange::Events { first, events }
                    }
                }
            }
            Next::Remove(state) => {
                self.state = state;
                self.has_image = false;
                let events_to = self.event;
                (self.revision, self.event, self.image_event) = (0, 0, 0);
                (self.event_bytes, self.bytes) = (0, 0);
                RecordChange::Remove { events_from, events_to }
            }
        }
    }

    fn image(&mut self, bytes: Bytes, events_from: u64) -> RecordChange {
        self.has_image = true;
        (self.image_event, self.event_bytes, self.bytes) = (self.event, 0, u32_of(bytes.len()));
        let image = Image { schema: E::SCHEMA, revision: self.revision, event: self.event, bytes };
        RecordChange::Image { image, events_from }
    }
}

impl<E: Entity> Table for TypedTable<E> {
    fn is_volatile(&self) -> bool {
        E::DURABILITY == Durability::Volatile
    }

    fn execute(&mut self, key: &Key, command: Command, scope: &Scope<'_>) -> Outcome {
        let saw = self.residents.get(key).map_or(0, |resident| resident.proposal);
        match self.run(key, command, scope) {
            Err(error) => Outcome { saw, ..self.refused(key, error) },
            Ok((reply, executed)) => {
                let resident = self.residents.get(key).expect("it has just executed");
                Outcome {
                    reply: Ok(reply),
                    revision: resident.revision,
                    saw: resident.proposal,
                    executed: Some(executed),
                }
            }
        }
    }

    fn view(&mut self, key: &Key, scope: &Scope<'_>) -> Outcome {
        if let Err(error) = self.wake(key, scope) {
            return self.refused(key, error);
        }
        let resident = self.residents.get_mut(key).expect("it was woken above");
        resident.used_ms = scope.now_ms;
        let (revision, saw) = (resident.revision, resident.proposal);
        let shown = catch_unwind(AssertUnwindSafe(|| resident.state.show().to_string()));
        let reply = shown.map(Bytes::from).map_err(|_| CallError::Crashed);
        Outcome { reply, revision, saw, executed: None }
    }

    fn passivate(&mut self, idle_before_ms: u64, applied: u64, count_max: usize) -> usize {
        let idle = |resident: &Resident<E>| resident.used_ms < idle_before_ms && resident.proposal <= applied;
        let keys: Vec<Key> = self
            .residents
            .iter()
            .skip(self.sweep)
            .take(count_max)
            .filter(|(_, resident)| idle(resident))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter().for_each(|key| self.forget(key));
        self.statistics.passivated += keys.len() as u64;
        let looked = self.sweep + count_max - keys.len();
        self.sweep = if looked >= self.residents.len() { 0 } else { looked };
        if self.residents.is_empty() {
            self.residents.shrink_to_fit();
        }
        keys.len()
    }

    fn statistics(&self) -> TableStatistics {
        let overhead = size_of::<Resident<E>>() + size_of::<Key>() + 16;
        TableStatistics {
            resident: self.residents.len(),
            resident_bytes: self.statistics.resident_bytes + self.residents.len() * overhead,
            ..self.statistics
        }
    }
}

fn entity_name<E: Entity>(key: &Key) -> String {
    format!("{}/{key}", E::KIND)
}

fn u32_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn check(what: &str, bytes: usize, bytes_max: usize) -> Result<(), CallError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(CallError::TooLarge { what: what.to_owned(), bytes: bytes as u64, bytes_max: bytes_max as u64 })
}

fn check_casts<E: Entity>(effects: &Effects<E>, scope: &Scope<'_>) -> Result<(), CallError> {
    let (count, count_max) = (effects.casts.len(), scope.limits.casts_max);
    if count > count_max {
        let what = format!("one command states {count} casts, at most {count_max} are allowed");
        return Err(CallError::Overloaded { what });
    }
    if count > scope.casts_room {
        let what = "the outbox of this shard is full: casts wait for their acknowledgement".to_owned();
        return Err(CallError::Overloaded { what });
    }
    Ok(())
}

fn timer_bytes(change: &TimerChange) -> usize {
    match change {
        TimerChange::Set { command, .. } => command.len() + 600,
        TimerChange::Cancel { .. } => 600,
    }
}

fn refused(refusal: &impl super::Refusal) -> Refused {
    Refused { code: refusal.code().to_owned(), message: refusal.to_string(), class: refusal.class() }
}

fn decode_command<E: Entity>(command: Command) -> Result<(E::Command, Content), CallError> {
    match command {
        Command::Typed(command) => {
            let command = command.downcast::<E::Command>().expect("spawned work returns the kind's command");
            Ok((*command, Content::Binary))
        }
        Command::Encoded(Body { content: Content::Binary, bytes }) => {
            let decoded = codec::decode(&bytes).map_err(|error| invalid(".", &error))?;
            Ok((decoded, Content::Binary))
        }
        Command::Encoded(Body { content: Content::Json, bytes }) => {
            let mut json = serde_json::Deserializer::from_slice(&bytes);
            let decoded = serde_path_to_error::deserialize(&mut json)
                .map_err(|error| invalid(&error.path().to_string(), error.inner()))?;
            json.end().map_err(|error| invalid(".", &error))?;
            Ok((decoded, Content::Json))
        }
    }
}

fn invalid(path: &str, message: &impl ToString) -> CallError {
    CallError::InvalidBody { path: path.to_owned(), message: message.to_string() }
}

fn encode_reply<R: serde::Serialize>(reply: &R, content: Content) -> Result<Bytes, String> {
    match content {
        Content::Json => serde_json::to_vec(reply).map(Bytes::from).map_err(|error| error.to_string()),
        Content::Binary => codec::encode(reply).map(Bytes::from).map_err(|error| error.to_string()),
    }
}

fn encode_image<E: Entity>(state: E, limits: &Limits) -> Result<Next<E>, CallError> {
    if E::DURABILITY == Durability::Volatile {
        return Ok(Next::Image { state, bytes: Bytes::new() });
    }
    let bytes = encode_state(&state, limits)?;
    Ok(Next::Image { state, bytes })
}

fn encode_state<E: Entity>(state: &E, limits: &Limits) -> Result<Bytes, CallError> {
    let bytes = codec::encode(state).expect("state types are encodable; unit tests of the kind show it");
    check("the state", bytes.len(), limits.state_bytes_max)?;
    Ok(bytes.into())
}

fn fold_events<E: Entity>(
    resident: &Resident<E>,
    events: Vec<E::Event>,
    limits: &Limits,
) -> Result<Next<E>, CallError> {
    let mut state = resident.state.clone();
    let mut encoded = Vec::with_capacity(events.len());
    for event in events {
        let bytes = codec::encode(&event).expect("event types are encodable; unit tests of the kind show it");
        encoded.push((E::SCHEMA, Bytes::from(bytes)));
        state.apply(event);
    }
    if E::DURABILITY == Durability::Volatile {
        return Ok(Next::Image { state, bytes: Bytes::new() });
    }
    let more: usize = encoded.iter().map(|(_, bytes)| bytes.len()).sum();
    let count = resident.event + encoded.len() as u64 - resident.image_event;
    let is_due = !resident.has_image
        || count > u64::from(E::IMAGE_EVERY_EVENTS)
        || resident.event_bytes as usize + more > limits.image_every_bytes;
    let image = if is_due { Some(encode_state(&state, limits)?) } else { None };
    Ok(Next::Events { state, events: encoded, image })
}

fn revive<E: Entity>(key: &Key, stored: Option<Stored>) -> Result<Resident<E>, CallError> {
    let unreadable =
        |reason: String| CallError::UnreadableState { entity: entity_name::<E>(key), reason };
    let Some(Stored { image, events }) = stored else {
        return Ok(Resident {
            state: E::birth(key),
            revision: 0,
            event: 0,
            image_event: 0,
            proposal: 0,
            used_ms: 0,
            bytes: 0,
            event_bytes: 0,
            has_image: false,
        });
    };
    let mut state: E = decode_versioned::<E, E>(image.schema, &image.bytes, E::upcast).map_err(unreadable)?;
    let (count, mut event_bytes) = (events.len() as u64, 0);
    for (schema, bytes) in events {
        event_bytes += bytes.len();
        state.apply(decode_versioned::<E, E::Event>(schema, &bytes, E::upcast_event).map_err(unreadable)?);
    }
    Ok(Resident {
        state,
        revision: image.revision + count,
        event: image.event + count,
        image_event: image.event,
        proposal: 0,
        used_ms: 0,
        bytes: u32_of(image.bytes.len()),
        event_bytes: u32_of(event_bytes),
        has_image: true,
    })
}

fn decode_versioned<E: Entity, T: serde::de::DeserializeOwned>(
    schema: SchemaVersion,
    bytes: &[u8],
    upcast: fn(SchemaVersion, &[u8]) -> Result<T, super::UpcastError>,
) -> Result<T, String> {
    if !E::READS.contains(&schema) {
        let (from, to) = (E::READS.start(), E::READS.end());
        return Err(format!("it has schema version {schema}, this release reads {from} to {to}"));
    }
    if schema == E::SCHEMA {
        return codec::decode(bytes).map_err(|error| error.to_string());
    }
    upcast(schema, bytes).map_err(|error| error.to_string())
}

fn erase<E: Entity>(spawned: SpawnedFuture<E>) -> Spawn {
    let boxed = |command: E::Command| -> Box<dyn Any + Send> { Box::new(command) };
    match spawned {
        SpawnedFuture::Future(future) => Spawn::Future(Box::pin(async move { boxed(future.await) })),
        SpawnedFuture::Call { target, body, timeout, then } => {
            Spawn::Call { target, body, timeout, then: Box::new(move |outcome| boxed(then(outcome))) }
        }
    }
}
