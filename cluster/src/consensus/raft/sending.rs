//! Snapshots on their way to other replicas.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    alias::VoteOf,
    error::{NetworkError, StreamingError},
    raft::SnapshotResponse,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    arrivals::Transfer,
    network::Question,
    snapshot::{SnapshotData, Taken},
    types::{Snapshot, Types, io_error},
    way::Way,
};
use crate::store::Pairs;

/// How many pairs of a snapshot travel together at most.
const SNAPSHOT_PAIRS_MAX: usize = 512;
/// How many bytes of a snapshot travel together at most, unless one pair is larger.
const SNAPSHOT_BYTES_MAX: usize = 1 << 20;
/// For so long after a snapshot arrived the log is kept, until openraft reads on behind it.
const SETTLES: Duration = Duration::from_secs(1);

/// Whether snapshots are being sent. The log behind a snapshot must be there when it has arrived, or the follower needs
/// the next snapshot at once, and so on for ever.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    count: AtomicUsize,
    arrived: Mutex<Option<Instant>>,
}

impl Sending {
    pub(crate) fn is_busy(&self) -> bool {
        let has_just_arrived = || self.arrived.lock().is_some_and(|at| at.elapsed() < SETTLES);
        self.count.load(Ordering::Acquire) > 0 || has_just_arrived()
    }

    fn begin(self: &Arc<Self>) -> Begun {
        self.count.fetch_add(1, Ordering::AcqRel);
        Begun(Arc::clone(self))
    }
}

/// A snapshot that is being sent.
struct Begun(Arc<Sending>);

impl Begun {
    fn arrived(self) {
        *self.0.arrived.lock() = Some(Instant::now());
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Way {
    /// Sends the state as it is now, which may be newer than `snapshot`. `limit` bounds the wait for each answer.
    pub(crate) async fn send_snapshot(
        &self,
        vote: VoteOf<Types>,
        snapshot: Snapshot,
        limit: Duration,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let transfer = Transfer { vote, attempt: self.network.attempt() };
        let begun = self.network.sending.begin();
        // An engine without points in time copies what it sends, so first see whether anybody is there.
        self.send_pairs(transfer, 0, Pairs::new(), limit).await?;
        let taken = take(&snapshot)?;
        let mut after: Option<Bytes> = None;
        let mut count = 1;
        loop {
            let pairs = read(&taken, after.as_ref())?;
            let Some((last, _)) = pairs.last() else { break };
            after = Some(last.clone());
            self.send_pairs(transfer, count, pairs, limit).await?;
            count += 1;
        }
        let (meta, sequence) = (taken.applied.meta(), taken.applied.sequence);
        let end = Question::SnapshotEnd { transfer, meta, sequence, count };
        let response = self.ask_in_bulk(&end, limit).await?;
        begun.arrived();
        Ok(response)
    }

    async fn send_pairs(
        &self,
        transfer: Transfer,
        number: u64,
        pairs: Pairs,
        limit: Duration,
    ) -> Result<(), StreamingError<Types>> {
        self.ask_in_bulk(&Question::SnapshotPairs { transfer, number, pairs }, limit).await
    }
}

fn take(snapshot: &Snapshot) -> Result<Taken, StreamingError<Types>> {
    let taken = match &snapshot.snapshot {
        SnapshotData::Promised(source) => source.take().map_err(io_error),
        SnapshotData::Received { .. } => Err(std::io::Error::other("a snapshot that arrived is not sent on")),
    };
    taken.map_err(|error| NetworkError::new(&error).into())
}

fn read(taken: &Taken, after: Option<&Bytes>) -> Result<Pairs, StreamingError<Types>> {
    taken
        .read(after, SNAPSHOT_PAIRS_MAX, SNAPSHOT_BYTES_MAX)
        .map_err(|error| NetworkError::new(&error).into())
}
