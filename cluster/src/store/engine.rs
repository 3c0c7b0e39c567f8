//! What an engine must do. One file per engine; nothing outside that file knows the engine's crate.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{Batch, StoreError};

/// Keys with their values, in ascending order of the key.
pub type Pairs = Vec<(Bytes, Bytes)>;

/// An ordered map of bytes that can be made durable.
///
/// Only one thread writes at a time (the store's writer); any thread may read at any time. Calls may block.
pub trait Engine: Send + Sync + 'static {
    /// Writes `batch` atomically. Reads see it when this returns; it is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`StoreError`]; what reached the disk is unknown until the next recovery, except for
    /// [`StoreError::Full`], where nothing of the batch was written.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

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

    /// Everything as it is now; later writes do not change it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn view(&self) -> Result<Arc<dyn View>, StoreError>;

    /// The name of the engine, as in the configuration.
    fn name(&self) -> &'static str;
}

/// A point in time of an engine.
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
