//! Ordered bytes on disk.
//!
//! Comes in: [`Batch`]es of puts and removals. Leaves: their durability, and what was put.
//!
//! Rules, kept by every engine and proved by one conformance suite and one crash suite:
//!
//! 1. **A batch is atomic.** After a crash all of it is there or none of it.
//! 2. **Batches are durable in order.** When a batch survived a crash, every earlier one did too.
//! 3. **[`Store::commit`] returns after the batch is on disk**; [`Store::apply`] returns when it is visible
//!    and becomes durable with the next commit at the latest.
//! 4. **A view never changes**, whatever is written after it was taken.
//! 5. **Nothing is deleted to resolve a mismatch**: a foreign or damaged file refuses to open and says so.
//!
//! All writes of a node go through one writer (group commit): it drains everything that waits, writes it,
//! syncs once, and wakes all. So one fsync makes the batches of *all* Raft groups durable.

mod batch;
mod config;
#[cfg(test)]
mod conformance;
mod disk;
mod engine;
mod error;
mod fjall;
mod format;
mod handle;
mod health;
mod inline;
mod memory;
mod open;
mod overlay;
mod probe;
mod queue;
mod released;
mod request;
mod sled;
mod space;
mod statistics;
mod writer;

pub use self::fjall::Fjall;
pub use self::sled::Sled;
pub use batch::{Batch, Op};
pub use config::{Config, KEY_BYTES_MAX, RESERVED_PREFIX};
pub use disk::DiskCall;
pub use engine::{Engine, Pairs, View};
pub use error::StoreError;
pub use handle::Store;
pub use health::Health;
pub use memory::{Crash, Faults, Memory};
pub use open::{EngineKind, open};
pub use overlay::{scan_over, successor};
pub use probe::Probe;
pub use request::Callback;
pub use statistics::{SYNC_BOUNDS_US, Statistics};

#[cfg(test)]
mod tests;
