//! The log of a group in the shared store.
//!
//! ```text
//! record   the last entry that was known to be committed when this one was appended · the entry
//! ```

use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};

use futures_util::{Stream, StreamExt, future::Either, stream};
use openraft::{
    LogState,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
};
use parking_lot::Mutex;

use super::{
    batches::Batches,
    types::{Entry, LogId, Types, Vote, decode, encode, encode_within, io_error, weight},
};
use crate::{
    consensus::{GroupId, keys::Keys, tail::Tail},
    store::{Batch, Store},
};

/// How many removals one batch of a purge or truncation has at most.
const REMOVALS_PER_BATCH_MAX: u64 = 10_000;
/// How many entries one limited read of the log returns at most.
const ENTRIES_PER_READ_MAX: u64 = 1_024;
/// How many bytes one limited read of the log returns at most, unless its first entry is larger.
const BYTES_PER_READ_MAX: usize = 1 << 20;
/// How many entries one scan of the store reads.
const ENTRIES_PER_SCAN: usize = 64;
/// How many bytes of entries are written together at most, unless one entry is larger.
const APPEND_BYTES_MAX: usize = 16 << 20;

/// An entry on disk.
type Record = (Option<LogId>, Entry);

/// How long the first part of a record is at most.
const COMMITTED_BYTES: usize = 24;

/// The log of one group. Clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    store: Store,
    keys: Keys,
    shared: Arc<Mutex<Shared>>,
    batch_bytes_max: usize,
}

struct Shared {
    tail: Tail<Entry>,
    vote: Option<Vote>,
    last: Option<LogId>,
    purged: Option<LogId>,
    /// Written as part of the next append.
    committed: Option<LogId>,
    /// Counts truncations: a sync that began before one says nothing about the entries appended after it.
    truncations: u64,
    /// Nothing is stored below the log any more: what an interrupted purge left there was looked for.
    is_swept: bool,
}

/// Where the next entries of a read are.
enum Place {
    /// There are no more.
    End,
    /// All the rest is in memory.
    Memory(Vec<Entry>),
    /// These are on disk.
    Disk(Range<u64>),
}

impl Shared {
    fn end(&self) -> u64 {
        self.last.map_or(0, |last| last.index() + 1)
    }

    /// Where the entries from `next` to `to` are. What left the memory is on disk.
    fn place(&self, next: u64, to: u64) -> Place {
        let to = to.min(self.end());
        if next >= to {
            return Place::End;
        }
        match self.tail.get(next..to) {
            Some(entries) => Place::Memory(entries),
            None => Place::Disk(next..self.tail.first().filter(|first| next < *first).unwrap_or(to).min(to)),
        }
    }
}

impl Log {
    /// Reads where the log begins and ends. `promised` is the vote of an earlier life of this replica.
    pub(crate) fn open(
        store: Store,
        group: GroupId,
        tail_bytes_max: usize,
        promised: Option<Vote>,
    ) -> io::Result<Self> {
        let keys = Keys::new(group);
        let read = |key: &[u8]| store.get(key).map_err(io_error);
        let vote = read(&keys.vote())?.map(|bytes| decode(&bytes)).transpose()?.or(promised);
        let purged: Option<LogId> = read(&keys.purged())?.map(|bytes| decode(&bytes)).transpose()?;
        let range = keys.log();
        let found = store.last(&range.start..&range.end).map_err(io_error)?;
        let found = found.map(|(_, bytes)| decode::<Record>(&bytes)).transpose()?;
        // A crash in the middle of a purge leaves entries below its mark. What was purged was committed.
        let found =
            found.filter(|(_, found)| purged.is_none_or(|purged| purged.index() < found.log_id().index()));
        let last = found.as_ref().map(|(_, entry)| entry.log_id()).or(purged);
        let committed = found.and_then(|(committed, _)| committed).max(purged);
        let shared = Shared {
            tail: Tail::new(tail_bytes_max),
            vote,
            last,
            purged,
            committed,
            truncations: 0,
            is_swept: false,
        };
        Ok(Self { store, keys, shared: Arc::new(Mutex::new(shared)), batch_bytes_max: APPEND_BYTES_MAX })
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.shared.lock().vote
    }

    /// The last entry, purged or not.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.shared.lock().last
    }

    /// The last entry that is known to be committed.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.shared.lock().committed
    }

    /// The entries from `from` to `to` of a log that nobody writes.
    pub(crate) fn read_stored(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        self.read(from, to, BYTES_PER_READ_MAX)
    }

    /// The entries from `from` to `to`, or the first of them when they are more than `bytes_max` bytes. Only
    /// purged entries may be missing, at the beginning, and entries that were never appended, at the end.
    ///
    /// The tail may shrink and the log may be truncated at any time during the read, so each round looks again.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let purged = self.shared.lock().purged;
        let mut next = from.max(purged.map_or(0, |purged| purged.index() + 1));
        let mut entries = Vec::new();
        let mut bytes = 0;
        loop {
            let place = self.shared.lock().place(next, to);
            let (more, is_rest) = match place {
                Place::End => return Ok(entries),
                Place::Memory(more) => (more, true),
                Place::Disk(range) => (self.read_from_store(&range)?, false),
            };
            if more.is_empty() && self.is_missing(next, to) {
                return Err(hole(next));
            }
            for entry in more {
                if entry.log_id().index() != next {
                    return Err(hole(next));
                }
                bytes += weight([&entry]);
                if bytes > bytes_max && !entries.is_empty() {
                    return Ok(entries);
                }
                next += 1;
                entries.push(entry);
            }
            if is_rest {
                return Ok(entries);
            }
        }
    }

    /// Whether an entry that was not found on disk should be there, because nobody truncated it meanwhile.
    fn is_missing(&self, index: u64, to: u64) -> bool {
        matches!(self.shared.lock().place(index, to), Place::Disk(_))
    }

    fn read_from_store(&self, range: &Range<u64>) -> io::Result<Vec<Entry>> {
        let (from, to) = (self.keys.entry(range.start), self.keys.entry(range.end));
        let pairs = self.store.scan(&from..&to, ENTRIES_PER_SCAN).map_err(io_error)?;
        pairs.iter().map(|(_, bytes)| decode::<Record>(bytes).map(|(_, entry)| entry)).collect()
    }

    /// The first index on disk, purged or not.
    fn first_stored(&self) -> io::Result<Option<u64>> {
        let range = self.keys.log();
        let keys = self.store.keys(&range.start..&range.end, 1).map_err(io_error)?;
        Ok(keys.first().and_then(|key| Keys::index(key)))
    }

    /// Removes what an interrupted purge left below `to`. It may be any distance below: each round looks again where to begin, and
    /// does not remove what lies between index by index. To look is slow, where the engine still has all that was ever removed
    /// there.
    async fn remove_garbage(&self, to: u64) -> io::Result<()> {
        let mut end = 0;
        while end < to {
            let Some(from) = self.first_stored()? else { break };
            end = to.min(from.saturating_add(REMOVALS_PER_BATCH_MAX));
            self.remove(from, end).await?;
        }
        Ok(())
    }

    async fn remove(&self, mut from: u64, to: u64) -> io::Result<()> {
        while from < to {
            let end = to.min(from + REMOVALS_PER_BATCH_MAX);
            let mut batch = Batch::new();
            (from..end).for_each(|index| batch.remove(self.keys.entry(index)));
            self.store.apply(batch).await.map_err(io_error)?;
            from = end;
        }
        Ok(())
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        let (from, to) = bounds(&range);
        self.read(from, to, usize::MAX)
    }

    async fn entries_stream<R: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + Send {
        // What is applied after a start may be as large as the log, so it is never in memory all at once.
        let (from, to) = bounds(&range);
        let parts = stream::unfold(Some((self.clone(), from)), move |rest| async move {
            let (log, from) = rest.filter(|(_, from)| *from < to)?;
            let part = log.read(from, to, BYTES_PER_READ_MAX);
            let last = part.as_ref().ok().and_then(|entries| entries.last());
            let rest = last.map(|last| (log, last.log_id().index() + 1));
            Some((part, rest))
        });
        parts.flat_map(|part| match part {
            Ok(entries) => Either::Left(stream::iter(entries.into_iter().map(Ok))),
            Err(error) => Either::Right(stream::iter(Some(Err(error)))),
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        // Whoever asks sends the entries behind `start - 1`: without the first there is nothing to send.
        if self.shared.lock().purged.is_some_and(|purged| start <= purged.index()) {
            return Ok(Vec::new());
        }
        self.read(start, end.min(start.saturating_add(ENTRIES_PER_READ_MAX)), BYTES_PER_READ_MAX)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let shared = self.shared.lock();
        Ok(LogState { last_purged_log_id: shared.purged, last_log_id: shared.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let mut batch = Batch::new();
        batch.put(self.keys.vote(), encode(vote));
        self.store.commit(batch).await.map_err(io_error)?;
        self.shared.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.shared.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut batches = Batches::new(self.batch_bytes_max);
        let mut shared = self.shared.lock();
        for entry in entries {
            let log_id = entry.log_id();
            let bytes = encode_within(&(shared.committed, &entry), weight([&entry]) + COMMITTED_BYTES);
            shared.tail.push(log_id.index(), entry, bytes.len());
            shared.last = Some(log_id);
            batches.put(self.keys.entry(log_id.index()), bytes);
        }
        let last = shared.last.map_or(0, |last| last.index());
        let truncations = shared.truncations;
        drop(shared);
        let shared = Arc::clone(&self.shared);
        let done = move |result: Result<(), _>| {
            if result.is_ok() {
                let mut shared = shared.lock();
                if shared.truncations == truncations {
                    shared.tail.mark_durable(last);
                }
            }
            callback.io_completed(result.map_err(io_error));
        };
        batches.commit(&self.store, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let (from, to) = {
            let mut shared = self.shared.lock();
            let to = shared.end();
            shared.truncations += 1;
            shared.tail.truncate_after(last.map(|last| last.index()));
            shared.last = last.or(shared.purged);
            (last.map_or(0, |last| last.index() + 1), to)
        };
        self.remove(from, to).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        // A snapshot may be far ahead of the log.
        let (from, to, is_swept) = {
            let mut shared = self.shared.lock();
            let to = shared.end().min(upto.index() + 1);
            let from = shared.purged.map_or(0, |purged| purged.index() + 1);
            shared.purged = Some(upto);
            shared.tail.purge(upto.index());
            if shared.last.is_none_or(|last| last.index() < upto.index()) {
                shared.last = Some(upto);
            }
            (from, to, std::mem::replace(&mut shared.is_swept, true))
        };
        // First say that it is gone, then remove it: a crash in between leaves only garbage.
        let mut batch = Batch::new();
        batch.put(self.keys.purged(), encode(&upto));
        self.store.apply(batch).await.map_err(io_error)?;
        if !is_swept {
            self.remove_garbage(from).await?;
        }
        self.remove(from, to).await
    }
}

/// The first index of a range, and the one behind its last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(from) => from + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(to) => to.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

fn hole(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a hole in the log: entry {index} is missing"))
}

#[cfg(test)]
pub(super) mod tests;
