//! A group that lost its majority for good goes on with one replica: by force, offline, and with what that replica has.
//!
//! Everything in the log of the survivor counts, acknowledged or not: what it holds may have been acknowledged, and it cannot
//! know. All of it is applied, and the log ends there. The survivor is the only voter, at a position far behind every other, with
//! no entry before it. At its next start it elects itself.
//!
//! Other replicas of the group may have committed more than the survivor, or hold entries that nobody committed. A follower never
//! compares what it has committed with what a leader sends, so nothing is sent to them but a snapshot: there is no entry that
//! they could have, and the snapshot is behind all that they have. So whoever is left takes the state of the survivor.
//!
//! What only the lost replicas had is gone. Should they come back with their volumes, they are a majority of what the group was
//! before, and may go on as if nothing had happened: among themselves they elect in any term. Whoever recovers a group must see
//! to it that they do not come back.

use std::collections::BTreeSet;

use bytes::Bytes;
use openraft::{EmptyNode, EntryPayload, entry::RaftEntry};

use super::{
    grave::Grave,
    group::OpenError,
    log::Log,
    machine::{Applied, decode_changes},
    point_in_time::{LogPosition, alone, log_id, stored},
    sequence::{Outcome, Sequence},
    types::{Entry, Membership, Vote, encode},
};
use crate::{
    consensus::{GroupId, RaftId, keys::Keys},
    store::{Batch, Op, Store},
};

/// How far the term of a recovery is above all that the survivor has seen: a replica that is left behind alone loses every
/// comparison, however many elections it went through.
const TERMS_ABOVE: u64 = 1 << 32;
/// How far the position of a recovery is behind the last entry of the survivor: behind all that any other replica can have.
const ENTRIES_AHEAD: u64 = 1 << 32;
/// How many entries are read at once.
const ENTRIES_PER_READ: u64 = 256;

/// What the replica of a group holds, in a store that no node uses now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The last entry whose changes are visible here. It was committed.
    pub applied: LogPosition,
    /// The last entry that is known to have been committed.
    pub committed: LogPosition,
    /// The last entry that is here. Those behind `committed` may have been acknowledged, or not.
    pub last: LogPosition,
    /// The voters by the last membership that is here. Two sets while voters were being changed: each has to have a majority.
    pub voters: Vec<BTreeSet<RaftId>>,
}

/// A recovery of the replica of one group. It writes nothing by itself: several groups are recovered by one batch.
pub struct Recovery {
    store: Store,
    group: GroupId,
    log: Log,
    applied: Applied,
    survivor: Survivor,
}

impl Recovery {
    /// Reads what is there. `None`: the store has no replica of the group, or one whose destruction was interrupted.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn open(store: &Store, group: GroupId) -> Result<Option<Self>, OpenError> {
        let failed = |source| OpenError::Stored { group, source };
        let Some(grave) = Grave::look(store, group).map_err(failed)? else { return Ok(None) };
        let log = Log::open(store.clone(), group, 0, grave.vote).map_err(failed)?;
        let applied = Applied::read(store, group).map_err(failed)?;
        let position = applied.last.as_ref().map(LogPosition::of).unwrap_or_default();
        let committed = log.committed().as_ref().map(LogPosition::of).unwrap_or_default();
        let last = log.last().as_ref().map(LogPosition::of).unwrap_or_default();
        let voters = sets(applied.membership.membership());
        let survivor = Survivor {
            applied: position,
            committed: committed.max(position),
            last: last.max(position),
            voters,
        };
        let mut recovery = Self { store: store.clone(), group, log, applied, survivor };
        let mut voters = None;
        recovery.for_each_entry(last.index, |entry| {
            if let EntryPayload::Membership(members) = &entry.payload {
                voters = Some(sets(members));
            }
            Ok(())
        })?;
        recovery.survivor.voters = voters.unwrap_or(recovery.survivor.voters);
        Ok(Some(recovery))
    }

    /// What is there.
    #[must_use]
    pub fn survivor(&self) -> &Survivor {
        &self.survivor
    }

    /// The log index at which this replica goes on as the only voter.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.survivor.last.index.saturating_add(ENTRIES_AHEAD)
    }

    /// The value that `key` will have once everything in the log is applied.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn latest(&self, key: &[u8]) -> Result<Option<Bytes>, OpenError> {
        self.value(key, self.survivor.last.index)
    }

    /// The value that `key` has once everything is applied that is known to be committed: a group that lives never takes that
    /// back.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn confirmed(&self, key: &[u8]) -> Result<Option<Bytes>, OpenError> {
        self.value(key, self.survivor.committed.index)
    }

    /// Writes into `batch` what makes `own` the only voter, with everything in the log applied, and `changes` behind it. `batch`
    /// must be committed, and nothing else of the group be written before.
    ///
    /// What is left of the log lies below the mark of what was cut, as after a cut that was interrupted, and goes with the next.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn write(&self, own: RaftId, changes: &Batch, batch: &mut Batch) -> Result<(), OpenError> {
        let keys = Keys::new(self.group);
        let seen = self.log.vote().map_or(0, |vote| vote.leader_id.term).max(self.survivor.last.term);
        let term = seen.saturating_add(TERMS_ABOVE);
        let last = log_id(LogPosition { term, index: self.index() });
        let sequence = self.apply_log(batch)?;
        changes.ops().iter().for_each(|op| self.apply(op.clone(), batch));
        let membership = Membership::new(Some(last), alone(own));
        let applied = Applied { last: Some(last), membership, generation: self.applied.generation, sequence };
        batch.put(keys.applied(), encode(&applied));
        batch.put(keys.purged(), encode(&last));
        batch.put(keys.vote(), encode(&Vote::new(term, own.0)));
        Ok(())
    }

    /// Adds what the entries change that are not applied yet.
    fn apply_log(&self, batch: &mut Batch) -> Result<Sequence, OpenError> {
        let mut sequence = self.applied.sequence;
        self.for_each_entry(self.survivor.last.index, |entry| {
            let changes = self.changes(entry, &mut sequence)?;
            changes.into_iter().for_each(|op| self.apply(op, batch));
            Ok(())
        })?;
        Ok(sequence)
    }

    fn apply(&self, op: Op, batch: &mut Batch) {
        let state_key = |key: &[u8]| Keys::new(self.group).state_key(self.applied.generation, key);
        batch.push(match op {
            Op::Put(key, value) => Op::Put(state_key(&key), value),
            Op::Remove(key) => Op::Remove(state_key(&key)),
        });
    }

    /// The value of `key` behind the entry `upto`.
    fn value(&self, key: &[u8], upto: u64) -> Result<Option<Bytes>, OpenError> {
        let state_key = Keys::new(self.group).state_key(self.applied.generation, key);
        let mut value = self.store.get(&state_key).map_err(stored(self.group))?;
        let mut sequence = self.applied.sequence;
        self.for_each_entry(upto, |entry| {
            for op in self.changes(entry, &mut sequence)? {
                match op {
                    Op::Put(of, new) if of == key => value = Some(new),
                    Op::Remove(of) if of == key => value = None,
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(value)
    }

    /// Looks at each entry up to `upto` that is not applied yet, in order.
    fn for_each_entry(
        &self,
        upto: u64,
        mut look: impl FnMut(&Entry) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let failed = |source| OpenError::Stored { group: self.group, source };
        let mut next = self.applied.last.map_or(0, |last| last.index() + 1);
        while next <= upto {
            let end = next.saturating_add(ENTRIES_PER_READ).min(upto + 1);
            let some = self.log.read_stored(next, end).map_err(failed)?;
            let Some(last) = some.last() else { break };
            next = last.log_id().index() + 1;
            some.iter().try_for_each(&mut look)?;
        }
        Ok(())
    }

    fn changes(&self, entry: &Entry, sequence: &mut Sequence) -> Result<Vec<Op>, OpenError> {
        let EntryPayload::Normal(changes) = &entry.payload else { return Ok(Vec::new()) };
        let term = LogPosition::of(&entry.log_id()).term;
        if sequence.advance(term, changes.number) == Outcome::Skipped {
            return Ok(Vec::new());
        }
        let decoded = decode_changes(changes.bytes.clone());
        decoded.map_err(|source| OpenError::Stored { group: self.group, source })
    }
}

impl Survivor {
    /// Whether this replica votes.
    #[must_use]
    pub fn votes(&self, own: RaftId) -> bool {
        self.voters.iter().any(|voters| voters.contains(&own))
    }

    /// Whether this replica was recovered when its last entry was at `index`, and is the only voter since.
    #[must_use]
    pub fn went_on_from(&self, own: RaftId, index: u64) -> bool {
        let is_alone = matches!(&self.voters[..], [only] if only.iter().eq([&own]));
        is_alone && self.last.index >= index.saturating_add(ENTRIES_AHEAD)
    }

    /// Whether the group cannot go on by itself without these.
    #[must_use]
    pub fn is_lost_without(&self, lost: &BTreeSet<RaftId>) -> bool {
        let has_majority = |voters: &BTreeSet<RaftId>| voters.difference(lost).count() * 2 > voters.len();
        !self.voters.iter().all(has_majority)
    }
}

fn sets(members: &openraft::Membership<u64, EmptyNode>) -> Vec<BTreeSet<RaftId>> {
    let sets = members.get_joint_config().iter();
    sets.map(|voters| voters.iter().copied().map(RaftId).collect()).collect()
}
