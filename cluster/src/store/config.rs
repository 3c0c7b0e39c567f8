//! What can be set about the store.

use std::{num::NonZeroUsize, time::Duration};

/// The longest key that may be put or removed, in bytes. Every engine can keep this much. The shortest has one.
pub const KEY_BYTES_MAX: usize = 65_535;

/// No caller may write a key that starts like this: engines keep notes of their own there.
pub const RESERVED_PREFIX: &[u8] = &[u8::MAX; 8];

/// How often a store without space looks again.
pub(super) const SPACE_RETRY: Duration = Duration::from_millis(100);

/// How often a writer looks again whose engine is behind.
pub(super) const BACKLOG_POLL: Duration = Duration::from_millis(1);

/// How often it makes sure meanwhile that the disk still answers.
pub(super) const BACKLOG_SYNC_EVERY: Duration = Duration::from_secs(1);

/// How the store bounds its memory and its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How much of the volume stays free, in bytes. Below it writes wait, unacknowledged.
    ///
    /// Keep this above [`write_buffer_bytes`](Self::write_buffer_bytes): an engine that moves its memory to
    /// disk writes that much without asking, and it cannot survive a volume that is full to the last byte.
    pub reserve_bytes: u64,

    /// How many bytes of batches may wait for the writer. Past this [`Store::commit`](super::Store::commit)
    /// and [`Store::apply`](super::Store::apply) wait for room before they take their place.
    pub queue_bytes_max: NonZeroUsize,

    /// How many bytes one engine write may merge, except that one batch is always written as a whole.
    ///
    /// Larger means fewer syncs per byte and more memory; smaller means less delay for the batches behind.
    pub round_bytes_max: NonZeroUsize,

    /// How large one batch may be, in bytes of keys and values. Past this the caller receives
    /// [`StoreError::TooLarge`](super::StoreError::TooLarge) and nothing is written.
    pub batch_bytes_max: NonZeroUsize,

    /// How many bytes of blocks the engine caches for reads.
    pub cache_bytes: u64,

    /// How many bytes of recent writes the engine keeps in memory before it moves them to a sorted file.
    /// Several such buffers can exist while the disk is slow.
    pub write_buffer_bytes: u64,

    /// How many bytes one [`Store::view`](super::Store::view) may copy, for engines that cannot keep a point
    /// in time without copying it (`sled`).
    pub view_bytes_max: NonZeroUsize,

    /// Up to how many bytes on disk are read completely when the store is opened, so that damage is found
    /// before the node joins. What is larger is checked as it is read: damage found then makes the store
    /// [`Health::Failed`](super::Health::Failed). About a second per GiB of large values; it is the number of pairs that counts: ten
    /// times that with values of a few bytes.
    pub verify_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reserve_bytes: 64 << 20,
            queue_bytes_max: bytes(64 << 20),
            round_bytes_max: bytes(8 << 20),
            batch_bytes_max: bytes(64 << 20),
            cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            view_bytes_max: bytes(256 << 20),
            verify_bytes_max: 1 << 30,
        }
    }
}

/// A number of bytes that is known not to be zero.
fn bytes(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("the defaults are not zero")
}
