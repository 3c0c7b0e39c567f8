//! The state of a group: committed changes, applied to the shared store.
//!
//! A proposal is a list of puts and removals, so followers apply bytes and never run user code. To apply an entry is to take its
//! changes over in memory; they reach the store later, many entries at a time (see [`super::write_back`]).
//!
//! The state of a group lives under a generation number. A snapshot arrives under the next generation while the old one is
//! still read; one atomic batch makes it current; the old generation is removed afterwards.

use std::{io, ops::Range, sync::Arc};

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
    types::{Changes, LogId, Membership, Snapshot, SnapshotMeta, Types, decode, io_error},
    write_back::{WAITING_BYTES_MAX, WriteBack},
};
use crate::{
    consensus::{GroupId, keys::Keys},
    store::{Batch, Op, Pairs, Store, StoreError},
};

/// What is applied. Written in one batch with the changes, so state and log position never part.
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
pub(crate) struct State(Arc<WriteBack>);

impl State {
    pub(crate) fn store(&self) -> &Store {
        self.0.store()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }

    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.0.scan(from, to, limit)
    }

    pub(crate) fn generation(&self) -> u32 {
        self.0.generation()
    }

    /// The replica stops: it waits for no space any more.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }

    /// What takes this state at a point in time.
    pub(crate) fn source(&self) -> Source {
        Source::new(Arc::clone(&self.0))
    }
}

/// The state machine that openraft drives.
pub(crate) struct Machine {
    store: Store,
    keys: Keys,
    applied: Applied,
    write_back: Arc<WriteBack>,
    growth: Arc<Growth>,
    /// The index of the last applied entry.
    announce: watch::Sender<u64>,
}

impl Machine {
    /// Reads what is applied, and removes what an interrupted snapshot left behind.
    pub(crate) async fn open(store: Store, group: GroupId, growth: Arc<Growth>) -> io::Result<Self> {
        let keys = Keys::new(group);
        let applied = Applied::read(&store, group)?;
        let write_back = Arc::new(WriteBack::new(store.clone(), keys, applied.clone()));
        let announce = watch::Sender::new(applied.index());
        let machine = Self { store, keys, applied, write_back, growth, announce };
        for range in keys.other_generations(machine.applied.generation) {
            remove_range(&machine.store, &range).await?;
        }
        Ok(machine)
    }

    pub(crate) fn state(&self) -> State {
        State(Arc::clone(&self.write_back))
    }

    /// Writes what is applied, from time to time and at the end. News end when it has ended, too.
    pub(crate) fn writing(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.write_back).run(self.announce.clone())
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

    /// Adds the changes of a proposal to `part`, unless the proposal before it is missing.
    fn take_turn(&mut self, term: u64, changes: Changes, part: &mut Part) -> io::Result<Outcome> {
        let outcome = self.applied.sequence.advance(term, changes.number);
        if outcome == Outcome::Applied {
            part.bytes += changes.bytes.len();
            decode_changes_into(changes.bytes, &mut part.changes)?;
        }
        Ok(outcome)
    }
}

/// Entries that are applied together.
#[derive(Default)]
struct Part {
    changes: Vec<Op>,
    bytes: usize,
    entries: u64,
    membership: Option<Membership>,
    responders: Vec<(ApplyResponder<Types>, Outcome)>,
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
        let mut part = Part::default();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let log_id = entry.log_id();
            self.check_follows(log_id.index())?;
            let mut outcome = Outcome::Applied;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(changes) => {
                    let term = **log_id.committed_leader_id();
                    outcome = self.take_turn(term, changes, &mut part)?;
                }
                EntryPayload::Membership(members) => {
                    self.applied.membership = Membership::new(Some(log_id), members);
                    part.membership = Some(self.applied.membership.clone());
                }
            }
            self.applied.last = Some(log_id);
            part.entries += 1;
            part.responders.extend(responder.map(|responder| (responder, outcome)));
            if part.bytes >= WAITING_BYTES_MAX {
                self.take_over(std::mem::take(&mut part)).await?;
            }
        }
        self.take_over(part).await
    }

    async fn get_snapshot_builder(&mut self) -> Source {
        self.state().source()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> Result<(), io::Error> {
        let SnapshotData::Received { generation, sequence } = data else {
            return Err(io::Error::other("a snapshot of this very replica cannot be installed here"));
        };
        // Whatever is below the current generation may be removed already.
        if generation <= self.applied.generation {
            return Err(io::Error::other("a snapshot was to be installed after a later one"));
        }
        let (last, membership) = (meta.last_log_id, meta.last_membership.clone());
        let applied = Applied { last, membership, generation, sequence };
        self.write_back.replace(applied.clone()).await.map_err(io_error)?;
        self.applied = applied;
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
        Ok(Some(self.get_snapshot_builder().await.promise()))
    }
}

impl Machine {
    async fn take_over(&mut self, part: Part) -> io::Result<()> {
        let position = (self.applied.last, self.applied.sequence);
        let is_full = self.write_back.take(part.changes, position, part.membership);
        part.responders.into_iter().for_each(|(responder, outcome)| responder.send(outcome));
        self.announce.send_replace(self.applied.index());
        self.growth.add(part.entries, part.bytes as u64);
        if is_full {
            self.write_back.flush().await.map_err(io_error)?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.growth.end();
        self.write_back.end();
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

pub(crate) fn decode_changes(bytes: Bytes) -> io::Result<Vec<Op>> {
    let mut ops = Vec::new();
    decode_changes_into(bytes, &mut ops)?;
    Ok(ops)
}

fn decode_changes_into(mut bytes: Bytes, ops: &mut Vec<Op>) -> io::Result<()> {
    while bytes.has_remaining() {
        let tag = bytes.get_u8();
        let key = take_slice(&mut bytes)?;
        ops.push(match tag {
            TAG_PUT => Op::Put(key, take_slice(&mut bytes)?),
            TAG_REMOVE => Op::Remove(key),
            _ => return Err(damaged()),
        });
    }
    Ok(())
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
