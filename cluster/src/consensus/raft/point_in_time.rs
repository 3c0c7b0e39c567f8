//! The state of a group at one point in time, for somebody who keeps a copy; and a replica that begins with such a copy.

use std::{collections::BTreeSet, io};

use bytes::Bytes;
use openraft::{EmptyNode, vote::RaftLeaderId};
use serde::{Deserialize, Serialize};

use super::{
    grave::Grave,
    group::OpenError,
    machine::Applied,
    sequence::Sequence,
    snapshot::Taken,
    types::{LogId, Membership, Types, Vote, encode, io_error},
};
use crate::{
    consensus::{GroupId, RaftId, keys::Keys},
    store::{Batch, Pairs, Store, StoreError},
};

/// How much the writes of a [`Restoration`] hold together, at most, unless one pair is larger.
const RESTORED_BYTES_MAX: usize = 4 << 20;

/// A place in the log of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// In which term the entry was proposed.
    pub term: u64,
    /// Which entry it is.
    pub index: u64,
}

/// The applied state of a group at one point in time: it does not change while the group goes on.
pub struct PointInTime {
    taken: Taken,
}

impl PointInTime {
    pub(super) fn new(taken: Taken) -> Self {
        Self { taken }
    }

    /// The last log entry that is part of it.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.taken.applied.last.as_ref().map(LogPosition::of).unwrap_or_default()
    }

    /// The next pairs behind the key `after`, ascending: up to `pairs_max` of them, and up to `bytes_max` bytes unless the
    /// first is larger. None: there are no more.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn read(
        &self,
        after: Option<&Bytes>,
        pairs_max: usize,
        bytes_max: usize,
    ) -> Result<Pairs, StoreError> {
        self.taken.read(after, pairs_max, bytes_max)
    }
}

/// Writes a replica into a store that holds none of its group: one that begins with a given state, and is the only voter.
///
/// Nothing of it counts before [`finish`](Self::finish).
pub struct Restoration {
    store: Store,
    group: GroupId,
    batch: Batch,
}

impl Restoration {
    /// Begins with no state.
    ///
    /// # Errors
    ///
    /// When the store holds something of the group, or cannot be read.
    pub fn begin(store: &Store, group: GroupId) -> Result<Self, OpenError> {
        let is_there =
            Grave::is_needed(store, group).map_err(|source| OpenError::Stored { group, source })?;
        if is_there {
            let source =
                io::Error::new(io::ErrorKind::AlreadyExists, "the store holds a replica of the group");
            return Err(OpenError::Stored { group, source });
        }
        Ok(Self { store: store.clone(), group, batch: Batch::new() })
    }

    /// Adds one pair, which replaces an earlier one of the same key.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn put(&mut self, key: &[u8], value: Bytes) -> Result<(), StoreError> {
        self.batch.put(Keys::new(self.group).state_key(0, key), value);
        if self.batch.bytes() < RESTORED_BYTES_MAX {
            return Ok(());
        }
        self.store.apply(std::mem::take(&mut self.batch)).await
    }

    /// Makes it the replica `own`, the only voter, which stands at `position` of its log; durable when it returns. What
    /// comes next has a later position, and a later term.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub async fn finish(mut self, own: RaftId, position: LogPosition) -> Result<(), StoreError> {
        let keys = Keys::new(self.group);
        let last = log_id(LogPosition { term: position.term.max(1), index: position.index.max(1) });
        let membership = Membership::new(Some(last), alone(own));
        let applied = Applied { last: Some(last), membership, generation: 0, sequence: Sequence::default() };
        self.batch.put(keys.applied(), encode(&applied));
        self.batch.put(keys.purged(), encode(&last));
        self.batch.put(keys.vote(), encode(&Vote::new(position.term.max(1), own.0)));
        self.store.commit(self.batch).await
    }
}

impl LogPosition {
    pub(super) fn of(id: &LogId) -> Self {
        Self { term: **id.committed_leader_id(), index: id.index() }
    }
}

/// The membership of a group with one voter.
pub(super) fn alone(own: RaftId) -> openraft::Membership<u64, EmptyNode> {
    openraft::Membership::new_with_defaults(vec![BTreeSet::from([own.0])], [])
}

pub(super) fn log_id(position: LogPosition) -> LogId {
    // The position of an entry tells the term of its leader, not who that was.
    type LeaderId = <Types as openraft::RaftTypeConfig>::LeaderId;
    LogId::new(LeaderId::new(position.term, 0).to_committed(), position.index)
}

/// The store was asked for something that it does not hold, or could not read.
pub(super) fn stored(group: GroupId) -> impl Fn(StoreError) -> OpenError {
    move |error| OpenError::Stored { group, source: io_error(error) }
}
