//! Snapshots, as they leave.
//!
//! openraft asks for a snapshot whenever the log is cut, and mostly nobody reads it. An engine without points in
//! time copies all that a view covers. So a snapshot is only a promise until it is sent; the view is taken then,
//! and may be newer than the snapshot that openraft knows. That is fine as long as the follower gets the position
//! that belongs to the view: everything applied is committed, and openraft takes the older position, which it
//! remembers, as a lower bound of what the follower has.

use std::{io, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::RaftSnapshotBuilder;

use super::{
    machine::Applied,
    sequence::Sequence,
    types::{Snapshot, SnapshotMeta, Types, decode, io_error},
};
use crate::{
    consensus::keys::{Keys, STATE_PREFIX_BYTES},
    store::{Batch, Pairs, Store, StoreError, View},
};

/// How many pairs of a snapshot one scan reads: their values are in memory together, however large.
const PAIRS_PER_SCAN: usize = 32;

/// A snapshot on its way.
pub(crate) enum SnapshotData {
    /// Here, to be read for a follower.
    Promised(Source),
    /// Arrived under a generation that is not current yet. The sequence is part of the state.
    Received { generation: u32, sequence: Sequence },
}

/// Where snapshots are taken.
#[derive(Clone)]
pub(crate) struct Source {
    store: Store,
    keys: Keys,
}

/// The state at one point in time, with its position in the log.
pub(crate) struct Taken {
    view: Arc<dyn View>,
    keys: Keys,
    pub(crate) applied: Applied,
}

impl Source {
    pub(crate) fn new(store: Store, keys: Keys) -> Self {
        Self { store, keys }
    }

    /// Takes the state as it is now.
    pub(crate) fn take(&self) -> io::Result<Taken> {
        let range = self.keys.all();
        let view = self.store.view(&range.start..&range.end).map_err(io_error)?;
        let stored = view.get(&self.keys.applied()).map_err(io_error)?;
        let applied = stored.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Taken { view, keys: self.keys, applied })
    }

    /// The state as it is now, to be taken later.
    pub(crate) fn promise(&self) -> io::Result<Snapshot> {
        let stored = self.store.get(&self.keys.applied()).map_err(io_error)?;
        let applied: Applied = stored.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Snapshot { meta: applied.meta(), snapshot: SnapshotData::Promised(self.clone()) })
    }
}

impl RaftSnapshotBuilder<Types> for Source {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let snapshot = self.promise()?;
        // The log may be cut below a snapshot, so the state in it must be on disk first.
        self.store.commit(Batch::new()).await.map_err(io_error)?;
        Ok(snapshot)
    }
}

impl Applied {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

impl Taken {
    /// The next pairs behind `after`, without our prefix: up to `pairs_max` of them, and up to `bytes_max` bytes
    /// unless the first is larger.
    pub(crate) fn read(
        &self,
        after: Option<&Bytes>,
        pairs_max: usize,
        bytes_max: usize,
    ) -> Result<Pairs, StoreError> {
        let mut part = Pairs::new();
        let mut bytes = 0;
        while part.len() < pairs_max {
            let limit = PAIRS_PER_SCAN.min(pairs_max - part.len());
            let pairs = self.scan(part.last().map(|(key, _)| key).or(after), limit)?;
            let is_last = pairs.len() < limit;
            for (key, value) in pairs {
                bytes += key.len() + value.len();
                if bytes > bytes_max && !part.is_empty() {
                    return Ok(part);
                }
                part.push((key, value));
            }
            if is_last {
                break;
            }
        }
        Ok(part)
    }

    fn scan(&self, after: Option<&Bytes>, limit: usize) -> Result<Pairs, StoreError> {
        let generation = self.applied.generation;
        let range = self.keys.generation(generation);
        let from = match after {
            None => range.start,
            Some(after) => {
                let mut next = BytesMut::from(&self.keys.state_key(generation, after)[..]);
                next.put_u8(0);
                next.freeze()
            }
        };
        let mut pairs = self.view.scan(&from..&range.end, limit)?;
        pairs.iter_mut().for_each(|(key, _)| key.advance(STATE_PREFIX_BYTES));
        Ok(pairs)
    }
}
