//! The trait that kinds implement.

use std::ops::RangeInclusive;

use serde::{Serialize, de::DeserializeOwned};

use super::Context;
use crate::protocol::{Key, RefusalClass};

/// Which shape of stored bytes. Every stored record carries one.
pub type SchemaVersion = u16;

/// What survives a crash or a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Everything acknowledged (the default).
    Replicated,
    /// Nothing: memory only, lost at every move; two leaders may briefly both answer. For rate limiters,
    /// presence and caches. Casts of such an entity are at most once, its timers live in memory.
    Volatile,
}

/// Why an entity said no. Implement it for the kind's error type.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// A stable word for programs, such as `insufficient_funds`.
    fn code(&self) -> &'static str;

    /// Whether it is about the state (409) or the command (422).
    fn class(&self) -> RefusalClass {
        RefusalClass::Conflict
    }
}

impl Refusal for std::convert::Infallible {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

/// The event type of entities that keep plain state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum NoEvents {}

/// Stored bytes of an older release could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("schema version {found} cannot be read: {reason}")]
pub struct UpcastError {
    /// The version that was found.
    pub found: SchemaVersion,
    /// Why.
    pub reason: String,
}

/// A durable, addressable state machine.
///
/// Two styles, both with `&self` in the handler, so that a refused or crashed command cannot leave half a change:
///
/// * **plain state**: `context.save(next)` or `context.state_mut(self)`; `type Event = NoEvents`;
/// * **events**: `context.emit(event)`, folded in by [`apply`](Self::apply).
///
/// Commands, replies and events travel both as JSON and in a binary format that does not describe itself: use plain
/// (externally tagged) enums and structs; not `#[serde(untagged)]`, `flatten`, `tag`, `skip_serializing_if`.
pub trait Entity: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The name in URLs and in storage. Never changes. One that begins with `internal-` is hidden from clients.
    const KIND: &'static str;
    /// One sentence for `playhouse kinds`.
    const SUMMARY: &'static str = "";
    /// The version that this release writes.
    const SCHEMA: SchemaVersion = 1;
    /// The versions that this release reads.
    const READS: RangeInclusive<SchemaVersion> = 1..=1;
    /// What survives.
    const DURABILITY: Durability = Durability::Replicated;
    /// An event-sourced entity writes an image of its state after this many events.
    const IMAGE_EVERY_EVENTS: u32 = 100;

    /// What can be asked.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// What happened; [`NoEvents`] when the entity keeps plain state.
    type Event: Serialize + DeserializeOwned + Send + 'static;
    /// Why it says no; [`std::convert::Infallible`] when it never does.
    type Error: Refusal;

    /// The state of an entity that nobody has written yet.
    fn birth(key: &Key) -> Self;

    /// Executes one command. Must not block: it shares a thread with other shards.
    ///
    /// # Errors
    ///
    /// A refusal; then nothing that was stated on `context` exists.
    fn handle(
        &self,
        command: Self::Command,
        context: &mut Context<'_, Self>,
    ) -> Result<Self::Reply, Self::Error>;

    /// Folds an event into the state. Never refuses: what happened, happened.
    fn apply(&mut self, event: Self::Event) {
        let _ = event;
    }

    /// The state as others may see it, as JSON. The default shows all of it.
    fn show(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }

    /// Reads an image that an older release wrote.
    ///
    /// # Errors
    ///
    /// When it cannot. The entity answers `unreadable_state` and stays as it is.
    fn upcast(found: SchemaVersion, bytes: &[u8]) -> Result<Self, UpcastError> {
        let _ = bytes;
        Err(UpcastError { found, reason: "this kind declares no way to read it".to_owned() })
    }

    /// Reads an event that an older release wrote.
    ///
    /// # Errors
    ///
    /// As [`upcast`](Self::upcast).
    fn upcast_event(found: SchemaVersion, bytes: &[u8]) -> Result<Self::Event, UpcastError> {
        let _ = bytes;
        Err(UpcastError { found, reason: "this kind declares no way to read its events".to_owned() })
    }

    /// Commands to try, as JSON, for OpenAPI and `playhouse kinds`.
    fn command_examples() -> Vec<serde_json::Value> {
        Vec::new()
    }
}
