//! A copy of everything that a cluster holds, as files.
//!
//! Comes in: for each shard its applied state at one point in time, in parts. Leaves: a folder with one file per shard and
//! a manifest; and, for a restore, the same state again, checked before anything is done with it.
//!
//! ```text
//! DIR/manifest.json             which cluster, when, and of each file its length and checksum
//! DIR/shard-00017.playhouse     magic · header · parts · end
//! ```
//!
//! * **Within a shard a backup is exact**: the state after one entry of its log. Between shards it is not: each has its own
//!   moment.
//! * **A folder is a backup or nothing**: it is written under another name, read again, and renamed.
//! * **A part is checked on its whole way**: whoever reads it from a store packs it with a checksum, and that is what is stored.
//! * **Damage has the name of its file**, and is found before anything is changed.

mod error;
mod folder;
mod manifest;
mod part;
mod retention;
mod shard_file;

pub use error::BackupError;
pub use folder::{Backup, BackupWriter, Parts};
pub use manifest::{FORMAT, Manifest, ShardEntry};
pub use part::{Pair, Part};
pub use retention::{Pruned, Unfinished, prune};
pub use shard_file::{Header, ShardWriter};

#[cfg(test)]
mod tests;
