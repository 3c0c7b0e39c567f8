//! What an engine must do. One file per engine; nothing outside that file knows the engine's crate.

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Batch, StoreError};

/// Keys with their values, in ascending order of the key.
pub type Pairs = Vec<(Bytes, Bytes)>;

/// An ordered map of bytes that can be made durable.
///
/// Only one thread writes at a time (the store's writer); any thread may read at any time. Calls may block.
/// A range whose start is not below its end holds nothing. Keys have 1 to
/// [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) bytes; the store refuses others before they get here.
pub trait Engine: Send + Sync + 'static {
    /// Writes `batch` atomically. Reads see it when this returns; it is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`StoreError`]; what reached the disk is unknown until the next recovery, except for
    /// [`StoreError::Full`], where nothing of the batch was written.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Whether the engine is so far behind with its own work that a [`write`](Self::write) now would have to wait for it. The
    /// writer looks again and again until it is not.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write): when that work failed, so that to wait would never end.
    fn is_behind(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Makes every batch durable that was written before the call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sync`]: what reached the disk is unknown until the next recovery; never try again.
    fn sync(&self) -> Result<(), StoreError>;

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read, or what was read is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Up to `limit` pairs with a key in `range`, ascending.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError>;

    /// The last pair with a key in `range`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError>;

    /// Up to `limit` keys in `range`, ascending.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn keys(&self, range: Range<&[u8]>, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        Ok(self.scan(range, limit)?.into_iter().map(|(key, _)| key).collect())
    }

    /// All pairs with a key in `range` as they are now; later writes do not change them. An engine without
    /// points in time copies them, while writes wait.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`StoreError::TooLarge`] when it would have to copy too much.
    fn view(&self, range: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError>;

    /// The name of the engine, as in the configuration.
    fn name(&self) -> &'static str;

    /// Where the files are; their volume is watched for space. None: nothing is on disk.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether [`sync`](Self::sync) waits for the disk itself, so that the loss of power loses nothing.
    fn is_durable_against_power_loss(&self) -> bool {
        true
    }

    /// Whether writes never block, so that the caller writes itself and no thread is needed.
    fn is_inline(&self) -> bool {
        false
    }

    /// How long a sync takes on the simulated clock, for an inline engine.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

/// The keys of one range at one point in time. What it answers for keys outside that range is unspecified.
pub trait View: Send + Sync {
    /// The value that `key` had.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Up to `limit` pairs with a key in `range`, ascending, as they were.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError>;
}
