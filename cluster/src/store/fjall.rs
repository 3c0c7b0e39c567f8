//! The engine `fjall`: a log-structured merge tree behind one journal. The only file that knows the crate.
//!
//! ```text
//! <folder>/tree/…      everything of the crate: journals `<n>.jnl`, tables, lock
//! <folder>/synced      the highest write that was synced
//! <folder>/torn-…      the end of a journal that was cut because a crash tore it
//! ```
//!
//! One keyspace for all, so one journal and one sync. What the crate leaves to its caller is done here:
//!
//! * A key may occur once in a batch of the crate (all its items share one sequence number), so only the last
//!   change of a key is handed on.
//! * When the crate falls behind it blocks its caller, for ever if its background work failed. So the writer
//!   waits before that point, where it still sees the failure.
//! * It cuts a damaged journal without a word. So the journals are checked before it opens them, and afterwards
//!   the last write that was synced must be there.

mod journal;
mod mark;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use fjall::{Database, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use self::mark::{Mark, SyncedFile};
use super::{Batch, Config, Engine, Op, Pairs, RESERVED_PREFIX, StoreError, View, released::when_released};
use crate::{collections::Set, volume};

const KEYSPACE: &str = "playhouse";

/// Threads that move memory to tables and merge tables. One: of several, the first one spins for as long as others merge (fjall 3.1
/// keeps it free for moves, and hands it the same request for a merge again and again).
const WORKERS: usize = 1;

/// How many full write buffers may wait for the disk before the writer waits. The crate blocks at four, and one
/// write can add one.
const SEALED_BUFFERS_MAX: usize = 2;

/// How many tables may wait to be merged before the writer waits. The crate blocks at thirty.
const UNMERGED_TABLES_MAX: usize = 24;

/// The first lines of its module say how.
pub struct Fjall {
    database: Database,
    keyspace: fjall::Keyspace,
    folder: PathBuf,
    synced_file: SyncedFile,
    /// The number of the last write. Only the writer changes it.
    written: AtomicU64,
    /// The number of the last write that was synced. Only the writer changes it.
    synced: AtomicU64,
    _in_use: volume::Lock,
}

impl Fjall {
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
        let synced_file = SyncedFile::open(folder).map_err(|error| StoreError::io(folder, error))?;
        let synced = synced_file.read().map_err(|error| StoreError::io(folder, error))?;
        journal::check(&folder.join("tree"), synced)?;
        let (database, keyspace) = open_tree(folder, config).map_err(|error| translate(folder, error))?;
        let (written, synced) = (AtomicU64::new(synced), AtomicU64::new(synced));
        let folder = folder.to_owned();
        let engine = Self { database, keyspace, folder, synced_file, written, synced, _in_use: in_use };
        engine.check_last_write()?;
        engine.check_tables(config.verify_bytes_max)?;
        Ok(Arc::new(engine))
    }

    /// Everything that was synced must be there.
    fn check_last_write(&self) -> Result<(), StoreError> {
        let mark = self.keyspace.get(mark::key()).map_err(|error| self.fail(error))?;
        let found = mark.and_then(|bytes| Mark::decode(&bytes)).unwrap_or_default().write;
        let synced = self.synced.load(Relaxed);
        if found < synced {
            let reason = format!("write {synced} was acknowledged, but the last one found is {found}");
            return Err(StoreError::Corrupt { path: self.folder.clone(), reason });
        }
        self.written.store(found, Relaxed);
        Ok(())
    }

    /// Reads everything once, so that damage is found now; unless it is more than `bytes_max`.
    fn check_tables(&self, bytes_max: u64) -> Result<(), StoreError> {
        if self.keyspace.disk_space() > bytes_max {
            return Ok(());
        }
        self.keyspace.iter().try_for_each(|guard| match guard.into_inner() {
            Ok(_) => Ok(()),
            Err(error) => Err(translate(&self.folder.join("tree"), error)),
        })
    }

    fn fail(&self, error: fjall::Error) -> StoreError {
        translate(&self.folder, error)
    }

    fn moment(&self) -> Moment {
        let (snapshot, keyspace) = (self.database.snapshot(), self.keyspace.clone());
        Moment { snapshot, keyspace, folder: self.folder.clone() }
    }
}

impl Engine for Fjall {
    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut items = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), batch.len() + 1);
        let mark = Mark { write: self.written.load(Relaxed) + 1, synced: self.synced.load(Relaxed) };
        items.insert(&self.keyspace, mark::key(), mark.encode());
        for op in last_changes(batch) {
            match op {
                Op::Put(key, value) => items.insert(&self.keyspace, &key[..], &value[..]),
                Op::Remove(key) => items.remove(&self.keyspace, &key[..]),
            }
        }
        items.commit().map_err(|error| self.fail(error))?;
        self.written.store(mark.write, Relaxed);
        Ok(())
    }

    /// Before the crate would block its caller out of sight.
    fn is_behind(&self) -> Result<bool, StoreError> {
        let is_behind = self.keyspace.sealed_memtable_count() > SEALED_BUFFERS_MAX
            || self.keyspace.l0_table_count() > UNMERGED_TABLES_MAX;
        if is_behind {
            // Fails if the background work failed.
            self.database.persist(PersistMode::Buffer).map_err(|error| self.fail(error))?;
        }
        Ok(is_behind)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let failed = |reason: String| StoreError::Sync { reason };
        self.database.persist(PersistMode::SyncData).map_err(|error| failed(error.to_string()))?;
        let written = self.written.load(Relaxed);
        self.synced.store(written, Relaxed);
        self.synced_file.write(written).map_err(|error| failed(error.to_string()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.keyspace.get(key).map_err(|error| self.fail(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        self.moment().scan(range, limit)
    }

    fn keys(&self, range: Range<&[u8]>, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let key = |guard: fjall::Guard| guard.key().map_err(|error| self.fail(error));
        let copy = |key: fjall::UserKey| Bytes::copy_from_slice(&key);
        let keys = self.moment().range(range).map(|guard| key(guard).map(copy));
        keys.filter(|key| !key.as_ref().is_ok_and(|key| is_reserved(key))).take(limit).collect()
    }

    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.moment().pairs(range).next_back().transpose()
    }

    fn view(&self, _: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        Ok(Arc::new(self.moment()))
    }

    fn name(&self) -> &'static str {
        "fjall"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

/// The content at one time.
struct Moment {
    snapshot: Snapshot,
    keyspace: fjall::Keyspace,
    folder: PathBuf,
}

impl Moment {
    fn range(&self, range: Range<&[u8]>) -> fjall::Iter {
        // The crate panics on a range that runs backwards.
        let end = range.end.max(range.start);
        self.snapshot.range(&self.keyspace, range.start..end)
    }

    fn pairs(
        &self,
        range: Range<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> {
        let pairs = self.range(range).map(|guard| match guard.into_inner() {
            Ok((key, value)) => Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value))),
            Err(error) => Err(translate(&self.folder, error)),
        });
        pairs.filter(|pair| !pair.as_ref().is_ok_and(|(key, _)| is_reserved(key)))
    }
}

impl View for Moment {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.snapshot.get(&self.keyspace, key);
        let value = value.map_err(|error| translate(&self.folder, error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        self.pairs(range).take(limit).collect()
    }
}

/// Whether the key is ours and not a caller's.
fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(RESERVED_PREFIX)
}

fn open_tree(folder: &Path, config: &Config) -> Result<(Database, fjall::Keyspace), fjall::Error> {
    let database = Database::builder(folder.join("tree"))
        .manual_journal_persist(true)
        .cache_size(config.cache_bytes)
        .worker_threads(WORKERS)
        .open()?;
    let options = KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(config.write_buffer_bytes);
    let keyspace = database.keyspace(KEYSPACE, || options)?;
    Ok((database, keyspace))
}

/// The last change of each key, in no particular order.
fn last_changes(batch: &Batch) -> impl Iterator<Item = &Op> {
    let mut seen = Set::with_capacity_and_hasher(batch.len(), Default::default());
    batch.ops().iter().rev().filter(move |op| seen.insert(op.key()))
}

/// Says in our words what the crate says.
fn translate(folder: &Path, error: fjall::Error) -> StoreError {
    let path = folder.to_owned();
    match error {
        fjall::Error::Locked => StoreError::InUse { path },
        fjall::Error::Io(error) => StoreError::io(folder, error),
        fjall::Error::Poisoned => StoreError::Io { path, reason: "an earlier write failed".to_owned() },
        fjall::Error::InvalidVersion(found) => StoreError::ForeignFormat {
            path,
            found: found.map_or("unknown".to_owned(), |found| format!("fjall {found}")),
            supported: "fjall 3".to_owned(),
        },
        other => translate_other(path, &other),
    }
}

/// Everything else is damage, unless the operating system is at the bottom of it.
fn translate_other(path: PathBuf, error: &fjall::Error) -> StoreError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return StoreError::Io { path, reason: io.to_string() };
        }
        source = inner.source();
    }
    StoreError::Corrupt { path, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of ten synced batches, each with one value of 100 bytes; then one byte of its journal changes.
    /// `find` says which, given the journal.
    fn damaged_tree(find: impl Fn(&[u8]) -> usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (database, keyspace) = open_tree(folder.path(), &Config::default()).unwrap();
        (0..10u8).for_each(|n| keyspace.insert([n], [b'v'; 100]).unwrap());
        database.persist(PersistMode::SyncAll).unwrap();
        drop((database, keyspace));
        let path = folder.path().join("tree/0.jnl");
        let mut journal = std::fs::read(&path).unwrap();
        let at = find(&journal);
        journal[at] ^= 0xff;
        std::fs::write(path, journal).unwrap();
        folder
    }

    /// Why we read journals first. When this fails the crate has learned it, and our check may go.
    #[test]
    fn the_crate_alone_cuts_synced_writes_in_silence() {
        let folder = damaged_tree(|_| 0);
        let (_database, keyspace) = open_tree(folder.path(), &Config::default()).unwrap();
        assert_eq!(keyspace.iter().count(), 0);
    }

    /// Why we cut torn ends ourselves: a page in the middle of the last write may be missing after a loss of power.
    #[test]
    fn the_crate_alone_does_not_start_with_a_hole_in_its_last_write() {
        let folder = damaged_tree(|journal| journal.iter().rposition(|byte| *byte == b'v').unwrap());
        assert!(open_tree(folder.path(), &Config::default()).is_err());
        assert!(Fjall::open(folder.path(), &Config::default()).is_ok());
    }
}
