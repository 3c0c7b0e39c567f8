//! What people write: durable state machines.
//!
//! Comes in: the trait [`Entity`], implemented by kinds. Leaves: a [`KindRegistry`] that the shard executes.
//!
//! A handler is synchronous, sees `&self`, and states its effects on the [`Context`]. When it returns `Err` or
//! panics, none of them exists. What it reads is the last executed state; nothing that it says leaves the node
//! before its effects are committed.

mod behaviour;
mod context;
mod crashes;
mod limits;
mod registry;
mod resident;
mod surroundings;
mod table;
mod typed_table;

pub use behaviour::{Durability, Entity, NoEvents, Refusal, SchemaVersion, UpcastError};
pub use context::{CallResult, Change, Context, Effects, OutgoingCast, SpawnedFuture, TimerChange};
pub use limits::Limits;
pub use registry::{KindDescription, KindIndex, KindRegistry, RegisterError};
pub use surroundings::Surroundings;
pub use table::{
    CallThen, Command, Executed, Image, LoadError, Loaded, Outcome, RecordChange, Records, Scope, Spawn,
    Stored, Table, TableStatistics,
};
