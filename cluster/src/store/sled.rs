//! The engine `sled`: a log-structured tree of pages. The only file that knows the crate.
//!
//! **Not durable against the loss of power on Linux**: its flush calls `sync_file_range`, which does not make the
//! disk write its cache. Durability rests on replication alone, and the node says so at start.
//!
//! The crate has no points in time, and readers can see half of a batch. So reads and writes exclude each other,
//! and a view copies its range while writes wait.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Batch, Config, Engine, Op, Pairs, StoreError, View, released::when_released};
use crate::volume;

/// The first lines of its module say how.
pub struct Sled {
    tree: sled::Db,
    folder: PathBuf,
    /// Shared by readers; exclusive to the writer, so that nobody sees half of a batch.
    whole: RwLock<()>,
    view_bytes_max: usize,
    _in_use: volume::Lock,
}

impl Sled {
    /// Opens the engine in `folder`, or creates it there if the folder is empty.
    ///
    /// # Errors
    ///
    /// When another process has it open, when it is damaged, or when the disk refuses. Nothing was deleted.
    pub fn open(folder: &Path, config: &Config) -> Result<Arc<Self>, StoreError> {
        when_released(|| Self::open_now(folder, config))
    }

    fn open_now(folder: &Path, config: &Config) -> Result<Arc<Self>, StoreError> {
        let in_use = volume::Lock::take(folder).map_err(|error| StoreError::in_use(folder, error))?;
        let options = sled::Config::new()
            .path(folder.join("tree"))
            .cache_capacity(config.cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let tree = options.open().map_err(|error| translate(folder, error))?;
        let view_bytes_max = config.view_bytes_max.get();
        let engine =
            Self { tree, folder: folder.to_owned(), whole: RwLock::new(()), view_bytes_max, _in_use: in_use };
        engine.check_pages(config.verify_bytes_max)?;
        Ok(Arc::new(engine))
    }

    /// Reads everything once, so that damage is found now; unless it is more than `bytes_max`.
    fn check_pages(&self, bytes_max: u64) -> Result<(), StoreError> {
        if self.tree.size_on_disk().map_err(|error| self.fail(error))? > bytes_max {
            return Ok(());
        }
        self.tree.iter().try_for_each(|pair| pair.map(drop).map_err(|error| self.fail(error)))
    }

    fn pairs(
        &self,
        range: Range<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> {
        let end = range.end.max(range.start);
        self.tree.range(range.start..end).map(|pair| match pair {
            Ok((key, value)) => Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value))),
            Err(error) => Err(self.fail(error)),
        })
    }

    fn fail(&self, error: sled::Error) -> StoreError {
        translate(&self.folder, error)
    }
}

impl Engine for Sled {
    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut items = sled::Batch::default();
        for op in batch.ops() {
            match op {
                Op::Put(key, value) => items.insert(&key[..], &value[..]),
                Op::Remove(key) => items.remove(&key[..]),
            }
        }
        let _whole = self.whole.write();
        self.tree.apply_batch(items).map_err(|error| self.fail(error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let synced = self.tree.flush();
        synced.map(drop).map_err(|error| StoreError::Sync { reason: error.to_string() })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let _whole = self.whole.read();
        let value = self.tree.get(key).map_err(|error| self.fail(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        let _whole = self.whole.read();
        self.pairs(range).take(limit).collect()
    }

    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        let _whole = self.whole.read();
        self.pairs(range).next_back().transpose()
    }

    fn view(&self, range: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        let _whole = self.whole.read();
        let (mut content, mut bytes) = (BTreeMap::new(), 0);
        for pair in self.pairs(range) {
            let (key, value) = pair?;
            bytes += key.len() + value.len();
            if bytes > self.view_bytes_max {
                return Err(StoreError::TooLarge { what: "view", bytes, bytes_max: self.view_bytes_max });
            }
            content.insert(key, value);
        }
        Ok(Arc::new(Copied(content)))
    }

    fn name(&self) -> &'static str {
        "sled"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.folder)
    }

    fn is_durable_against_power_loss(&self) -> bool {
        false
    }
}

/// A copy of one range.
struct Copied(BTreeMap<Bytes, Bytes>);

impl View for Copied {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        let bounds = (Bound::Included(range.start), Bound::Excluded(range.end.max(range.start)));
        let pairs = self.0.range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), value.clone()));
        Ok(pairs.take(limit).collect())
    }
}

/// Says in our words what the crate says.
fn translate(folder: &Path, error: sled::Error) -> StoreError {
    let path = folder.join("tree");
    match error {
        // sled has no variant of its own for a held lock.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse { path }
        }
        sled::Error::Io(error) => StoreError::io(&path, error),
        sled::Error::Unsupported(found) => {
            StoreError::ForeignFormat { path, found, supported: "sled 0.34".to_owned() }
        }
        other => StoreError::Corrupt { path, reason: other.to_string() },
    }
}
