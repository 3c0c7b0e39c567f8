//! The log of a group in the shared store.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use openraft::{
    LogState,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
};
use parking_lot::Mutex;

use super::types::{Entry, LogId, Types, Vote, decode, encode, io_error};
use crate::{
    consensus::{GroupId, keys::Keys, tail::Tail},
    store::{Batch, Store},
};

/// How many removals one batch of a purge or truncation has at most.
const REMOVALS_PER_BATCH_MAX: u64 = 10_000;
/// How many entries one read of the log returns at most.
const ENTRIES_PER_READ_MAX: u64 = 1_024;

/// The log of one group. Clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    store: Store,
    keys: Keys,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    tail: Tail<Entry>,
    vote: Option<Vote>,
    last: Option<LogId>,
    purged: Option<LogId>,
    /// Written beside the next append, without a sync of its own.
    committed: Option<LogId>,
}

impl Log {
    /// Reads where the log begins and ends.
    pub(crate) fn open(store: Store, group: GroupId, tail_bytes_max: usize) -> io::Result<Self> {
        let keys = Keys::new(group);
        let read = |key: &[u8]| store.get(key).map_err(io_error);
        let vote = read(&keys.vote())?.map(|bytes| decode(&bytes)).transpose()?;
        let purged: Option<LogId> = read(&keys.purged())?.map(|bytes| decode(&bytes)).transpose()?;
        let committed = read(&keys.committed())?.map(|bytes| decode(&bytes)).transpose()?;
        let range = keys.log();
        let found = store.last(&range.start..&range.end).map_err(io_error)?;
        let found = found.map(|(_, bytes)| decode::<Entry>(&bytes)).transpose()?.map(|entry| entry.log_id());
        // A crash in the middle of a purge leaves entries below its mark.
        let last =
            found.filter(|found| purged.is_none_or(|purged| purged.index() < found.index())).or(purged);
        let shared = Shared { tail: Tail::new(tail_bytes_max), vote, last, purged, committed };
        Ok(Self { store, keys, shared: Arc::new(Mutex::new(shared)) })
    }

    fn read_from_store(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let (from, to) = (self.keys.entry(from), self.keys.entry(to));
        let limit = usize::try_from(ENTRIES_PER_READ_MAX).unwrap_or(usize::MAX);
        let pairs = self.store.scan(&from..&to, limit).map_err(io_error)?;
        pairs.iter().map(|(_, bytes)| decode(bytes)).collect()
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
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(from) => from + 1,
            Bound::Unbounded => 0,
        };
        let (to, first_in_memory) = {
            let shared = self.shared.lock();
            let end = shared.last.map_or(0, |last| last.index() + 1);
            let to = match range.end_bound() {
                Bound::Included(to) => to.saturating_add(1),
                Bound::Excluded(to) => *to,
                Bound::Unbounded => end,
            };
            let to = to.min(end);
            if let Some(entries) = shared.tail.get(from..to) {
                return Ok(entries);
            }
            (to, shared.tail.first())
        };
        // What is not in memory is on disk; the rest may be in memory only.
        let on_disk = to.min(first_in_memory.unwrap_or(to));
        let mut entries = Vec::new();
        let mut next = from;
        while next < on_disk {
            let more = self.read_from_store(next, on_disk)?;
            let Some(last) = more.last() else { break };
            next = last.log_id().index() + 1;
            entries.extend(more);
        }
        if let Some(more) = self.shared.lock().tail.get(next.max(on_disk)..to) {
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let end = end.min(start + ENTRIES_PER_READ_MAX);
        self.try_get_log_entries(start..end).await
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
        let mut batch = Batch::new();
        let mut shared = self.shared.lock();
        for entry in entries {
            let log_id = entry.log_id();
            let bytes = encode(&entry);
            shared.tail.push(log_id.index(), entry, bytes.len());
            shared.last = Some(log_id);
            batch.put(self.keys.entry(log_id.index()), bytes);
        }
        if let Some(committed) = &shared.committed {
            batch.put(self.keys.committed(), encode(committed));
        }
        let last = shared.last.map_or(0, |last| last.index());
        drop(shared);
        let shared = Arc::clone(&self.shared);
        let done = move |result: Result<(), _>| {
            if result.is_ok() {
                shared.lock().tail.mark_durable(last);
            }
            callback.io_completed(result.map_err(io_error));
        };
        self.store.commit_then(batch, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let (from, to) = {
            let mut shared = self.shared.lock();
            let to = shared.last.map_or(0, |last| last.index() + 1);
            shared.tail.truncate_after(last.map(|last| last.index()));
            shared.last = last.or(shared.purged);
            (last.map_or(0, |last| last.index() + 1), to)
        };
        self.remove(from, to).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let from = {
            let mut shared = self.shared.lock();
            let from = shared.purged.map_or(0, |purged| purged.index() + 1);
            shared.purged = Some(upto);
            shared.tail.purge(upto.index());
            if shared.last.is_none_or(|last| last.index() < upto.index()) {
                shared.last = Some(upto);
            }
            from
        };
        // First say that it is gone, then remove it: a crash in between leaves only garbage.
        let mut batch = Batch::new();
        batch.put(self.keys.purged(), encode(&upto));
        self.store.apply(batch).await.map_err(io_error)?;
        self.remove(from, upto.index() + 1).await
    }
}
