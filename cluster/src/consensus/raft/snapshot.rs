//! Snapshots, as they leave.
//!
//! openraft asks for a snapshot whenever the log is cut, and mostly nobody reads it. An engine without points in
//! time copies all that a view covers. So a snapshot is only a promise until it is sent; the view is taken then,
//! and may be newer than the snapshot that openraft knows. That is fine as long as the follower gets the position
//! that belongs to the view: everything applied is committed, and openraft takes the older position, which it
//! remembers, as a lower bound of what the follower has.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use openraft::RaftSnapshotBuilder;

use super::{
    machine::Applied,
    sequence::Sequence,
    types::{Snapshot, SnapshotMeta, Types, io_error},
    write_back::{Changes, WriteBack, scan_state},
};
use crate::{
    consensus::keys::Keys,
    store::{Batch, Pairs, StoreError, View, successor},
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
pub(crate) struct Source(Arc<WriteBack>);

/// The state at one point in time, with its position in the log.
pub(crate) struct Taken {
    view: Arc<dyn View>,
    /// What the view may not have yet.
    changes: Changes,
    keys: Keys,
    pub(crate) applied: Applied,
}

impl Source {
    pub(crate) fn new(write_back: Arc<WriteBack>) -> Self {
        Self(write_back)
    }

    /// Takes the state as it is now.
    pub(crate) fn take(&self) -> Result<Taken, StoreError> {
        self.0.freeze()
    }

    /// The state as it is now, to be taken later.
    pub(crate) fn promise(&self) -> Snapshot {
        Snapshot { meta: self.0.applied().meta(), snapshot: SnapshotData::Promised(self.clone()) }
    }
}

impl RaftSnapshotBuilder<Types> for Source {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let snapshot = self.promise();
        // The log may be cut below a snapshot, so the state in it must be on disk first.
        self.0.flush().await.map_err(io_error)?;
        self.0.store().commit(Batch::new()).await.map_err(io_error)?;
        Ok(snapshot)
    }
}

impl Applied {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

impl Taken {
    pub(super) fn new(view: Arc<dyn View>, changes: Changes, keys: Keys, applied: Applied) -> Self {
        Self { view, changes, keys, applied }
    }

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
        let from = after.map_or_else(Bytes::new, |after| successor(after));
        let stored = |range: Range<&[u8]>, limit| self.view.scan(range, limit);
        scan_state((self.keys, self.applied.generation), &self.changes, (&from, None), limit, stored)
    }
}
