//! A table of resident entities, as the shard sees it.
//!
//! Comes in: encoded commands. Leaves: encoded replies and effects. The shard keeps the effects and decides
//! when anything of it may be seen.

use std::any::Any;

use bytes::Bytes;

use super::{Limits, OutgoingCast, SchemaVersion, TimerChange};
use crate::protocol::{Body, CallError, Content, Key, RequestId};

/// A command on its way into a handler.
pub enum Command<'a> {
    /// From a client, another entity or a timer.
    Encoded(Content, &'a [u8]),
    /// The result of [`Context::spawn`](super::Context::spawn): the kind's own command type.
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
    /// How many timers of `Volatile` entities the shard has room for.
    pub timers_room: usize,
    /// Whether somebody waits for the reply. That of a `Volatile` kind is not encoded for nobody.
    pub wants_reply: bool,
}

/// What is stored of an entity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Reads what is stored of an entity.
pub trait Records {
    /// The image and the events behind it.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load(&self, kind: &str, key: &Key) -> Result<Loaded, LoadError>;
}

/// What was read of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Nothing if nobody wrote it.
    pub stored: Option<Stored>,
    /// The newest proposal that it is part of; 0 when all of it is stored. Whoever sees the state waits for it.
    pub proposal: u64,
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
pub type CallThen = Box<dyn FnOnce(Result<crate::protocol::Reply, CallError>) -> Box<dyn Any + Send> + Send>;

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

impl Outcome {
    /// Why the entity did not even get to refuse.
    #[must_use]
    pub fn failure(&self) -> Option<&CallError> {
        self.reply.as_ref().err().filter(|error| !matches!(error, CallError::Refused(_)))
    }
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
    /// Entities that refuse commands for a while.
    pub quarantined: usize,
}

/// The resident entities of one kind; the shard knows only this.
pub trait Table: Send {
    /// Whether the kind is `Volatile`.
    fn is_volatile(&self) -> bool;

    /// Executes a command and keeps its new state; the caller must propose its effects.
    fn execute(&mut self, key: &Key, command: Command<'_>, scope: &Scope<'_>) -> Outcome;

    /// The state as the kind shows it, as JSON; [`Outcome::executed`] is `None`.
    fn view(&mut self, key: &Key, scope: &Scope<'_>) -> Outcome;

    /// Forgets up to `count_max` residents that were not used since `idle_before_ms` and whose effects are all
    /// applied (their proposals are at most `applied`). Returns how many.
    fn passivate(&mut self, idle_before_ms: u64, applied: u64, count_max: usize) -> usize;

    /// Counts, at a time of the shard's clock.
    fn statistics(&self, now_ms: u64) -> TableStatistics;
}
