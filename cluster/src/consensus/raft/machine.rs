//! The state of a group: committed changes, applied to the shared store.
//!
//! A proposal is a list of puts and removals, so followers apply bytes and never run user code. The state of a
//! group lives under a generation number. A snapshot arrives under the next generation while the old one is
//! still read; one atomic batch makes it current; the old generation is removed afterwards.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::environment::watch;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload,
    entry::RaftEntry,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use serde::{Deserialize, Serialize};

use super::{
    growth::Growth,
    sequence::{Outcome, Sequence},
    snapshot::{SnapshotData, Source},
    types::{Changes, LogId, Membership, Snapshot, SnapshotMeta, Types, decode, encode, io_error},
};
use crate::{
    consensus::{GroupId, keys::Keys},
    store::{Batch, Op, Pairs, Store, StoreError},
};

/// How many bytes of changes are written together at most, when many entries are applied at once.
const APPLY_BYTES_MAX: usize = 4 << 20;

/// What is applied. Written in the same batch as the changes, so state and log position never part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: Membership,
    pub(crate) generation: u32,
    pub(crate) sequence: Sequence,
}

impl Applied {
    pub(crate) fn read(store: &Store, group: GroupId) -> io::Result<Self> {
        let stored = store.get(&Keys::new(group).applied()).map_err(io_error)?;
        Ok(stored.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default())
    }

    fn index(&self) -> u64 {
        self.last.map_or(0, |last| last.index())
    }
}

/// The applied state of one group, readable by anyone.
#[derive(Clone)]
pub(crate) struct State {
    store: Store,
    keys: Keys,
    generation: Arc<AtomicU32>,
}

impl State {
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.get(&self.keys.state_key(self.generation(), key))
    }

    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        let generation = self.generation();
        let (from, to) = (self.keys.state_key(generation, from), self.keys.state_key(generation, to));
        let mut pairs = self.store.scan(&from..&to, limit)?;
        for (key, _) in &mut pairs {
            key.advance(crate::consensus::keys::STATE_PREFIX_BYTES);
        }
        Ok(pairs)
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }
}

/// The state machine that openraft drives.
pub(crate) struct Machine {
    store: Store,
    keys: Keys,
    applied: Applied,
    generation: Arc<AtomicU32>,
    growth: Arc<Growth>,
    /// The index of the last applied entry.
    announce: watch::Sender<u64>,
}

impl Machine {
    /// Reads what is applied, and removes what an interrupted snapshot left behind.
    pub(crate) async fn open(store: Store, group: GroupId, growth: Arc<Growth>) -> io::Result<Self> {
        let keys = Keys::new(group);
        let applied = Applied::read(&store, group)?;
        let generation = Arc::new(AtomicU32::new(applied.generation));
        let announce = watch::Sender::new(applied.index());
        let machine = Self { store, keys, applied, generation, growth, announce };
        for range in keys.other_generations(machine.applied.generation) {
            remove_range(&machine.store, &range).await?;
        }
        Ok(machine)
    }

    pub(crate) fn state(&self) -> State {
        State { store: self.store.clone(), keys: self.keys, generation: Arc::clone(&self.generation) }
    }

    /// News of the index of the last applied entry.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.announce.subscribe()
    }

    /// A log entry that was left out would make this replica differ from the others for good.
    fn check_follows(&self, index: u64) -> io::Result<()> {
        let expected = self.applied.last.map_or(0, |last| last.index() + 1);
        if index == expected {
            return Ok(());
        }
        let reason = format!("entry {index} was to be applied, but the next one is {expected}");
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    async fn write(&mut self, mut batch: Batch) -> io::Result<()> {
        batch.put(self.keys.applied(), encode(&self.applied));
        self.store.apply(batch).await.map_err(io_error)
    }

    /// Adds the changes of a proposal to `batch`, unless the proposal before it is missing.
    fn take_turn(&mut self, term: u64, changes: Changes, batch: &mut Batch) -> io::Result<Outcome> {
        let outcome = self.applied.sequence.advance(term, changes.number);
        if outcome == Outcome::Applied {
            self.translate(changes.bytes, batch)?;
        }
        Ok(outcome)
    }

    /// Adds the changes of one proposal to `batch`, under the current generation.
    fn translate(&self, changes: Bytes, batch: &mut Batch) -> io::Result<()> {
        let generation = self.applied.generation;
        for op in decode_changes(changes)? {
            batch.push(match op {
                Op::Put(key, value) => Op::Put(self.keys.state_key(generation, &key), value),
                Op::Remove(key) => Op::Remove(self.keys.state_key(generation, &key)),
            });
        }
        Ok(())
    }
}

/// Removes all keys of a range; costs no sync when there are none.
async fn remove_range(store: &Store, range: &Range<Bytes>) -> io::Result<()> {
    if store.keys(&range.start..&range.end, 1).map_err(io_error)?.is_empty() {
        return Ok(());
    }
    store.remove_range(&range.start, &range.end).await.map(drop).map_err(io_error)
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Source;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        let mut batch = Batch::new();
        let mut responders = Vec::new();
        let mut count = 0;
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let log_id = entry.log_id();
            self.check_follows(log_id.index())?;
            let mut outcome = Outcome::Applied;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(changes) => {
                    let term = **log_id.committed_leader_id();
                    outcome = self.take_turn(term, changes, &mut batch)?;
                }
                EntryPayload::Membership(members) => {
                    self.applied.membership = Membership::new(Some(log_id), members);
                }
            }
            self.applied.last = Some(log_id);
            count += 1;
            responders.extend(responder.map(|responder| (responder, outcome)));
            if batch.bytes() >= APPLY_BYTES_MAX {
                self.flush(std::mem::take(&mut batch), &mut responders, std::mem::take(&mut count)).await?;
            }
        }
        self.flush(batch, &mut responders, count).await
    }

    async fn get_snapshot_builder(&mut self) -> Source {
        Source::new(self.store.clone(), self.keys)
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> Result<(), io::Error> {
        let SnapshotData::Received { generation, sequence } = data else {
            return Err(io::Error::other("a snapshot of this very replica cannot be installed here"));
        };
        // Whatever is below the current generation may be removed already.
        if generation <= self.applied.generation {
            return Err(io::Error::other("a snapshot was to be installed after a later one"));
        }
        self.applied = Applied {
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
            generation,
            sequence,
        };
        let mut batch = Batch::new();
        batch.put(self.keys.applied(), encode(&self.applied));
        self.store.commit(batch).await.map_err(io_error)?;
        self.generation.store(generation, Ordering::Release);
        self.announce.send_replace(self.applied.index());
        // Those above it are arriving.
        let [below, _] = self.keys.other_generations(generation);
        remove_range(&self.store, &below).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        if self.applied.last.is_none() {
            return Ok(None);
        }
        // It is asked for each time a follower that may not be there is about to be sent one: no sync for that.
        self.get_snapshot_builder().await.promise().map(Some)
    }
}

impl Machine {
    async fn flush(
        &mut self,
        batch: Batch,
        responders: &mut Vec<(ApplyResponder<Types>, Outcome)>,
        entries: u64,
    ) -> io::Result<()> {
        let bytes = batch.bytes() as u64;
        self.write(batch).await?;
        responders.drain(..).for_each(|(responder, outcome)| responder.send(outcome));
        self.announce.send_replace(self.applied.index());
        self.growth.add(entries, bytes);
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.growth.end();
    }
}

/// Encodes the changes of a proposal: per change a tag, the length of the key, the key, and for a put the length
/// of the value and the value. Lengths are 32 bits, little-endian.
pub(crate) fn encode_changes(batch: &Batch) -> Bytes {
    let mut bytes = BytesMut::with_capacity(batch.bytes() + batch.len() * 9);
    for op in batch.ops() {
        match op {
            Op::Put(key, value) => {
                bytes.put_u8(TAG_PUT);
                put_slice(&mut bytes, key);
                put_slice(&mut bytes, value);
            }
            Op::Remove(key) => {
                bytes.put_u8(TAG_REMOVE);
                put_slice(&mut bytes, key);
            }
        }
    }
    bytes.freeze()
}

const TAG_PUT: u8 = 1;
const TAG_REMOVE: u8 = 2;

fn put_slice(bytes: &mut BytesMut, slice: &Bytes) {
    bytes.put_u32_le(u32::try_from(slice.len()).expect("proposals are bounded far below 4 GiB"));
    bytes.put_slice(slice);
}

pub(crate) fn decode_changes(mut bytes: Bytes) -> io::Result<Vec<Op>> {
    let mut ops = Vec::new();
    while bytes.has_remaining() {
        let tag = bytes.get_u8();
        let key = take_slice(&mut bytes)?;
        ops.push(match tag {
            TAG_PUT => Op::Put(key, take_slice(&mut bytes)?),
            TAG_REMOVE => Op::Remove(key),
            _ => return Err(damaged()),
        });
    }
    Ok(ops)
}

fn take_slice(bytes: &mut Bytes) -> io::Result<Bytes> {
    let length = bytes.try_get_u32_le().map_err(|_| damaged())? as usize;
    if bytes.len() < length {
        return Err(damaged());
    }
    Ok(bytes.split_to(length))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a log entry is damaged")
}

#[cfg(test)]
mod tests;
