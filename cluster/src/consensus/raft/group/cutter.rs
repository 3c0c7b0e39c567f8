//! Cuts the log when enough was applied.
//!
//! openraft keeps what a follower is being sent, however long it takes; so one follower that does not answer would
//! let the log grow without a bound. When a cut is still pending as the next one is due, streams to followers that
//! need what should be gone are ended ([`floor`](Cutter::floor)); openraft sends them snapshots instead. While one
//! travels the log may grow to a few times its bound, because the follower needs what comes behind the snapshot.

use std::sync::Arc;

use crate::environment::watch;
use openraft::{async_runtime::watch::WatchReceiver, error::Fatal};

use crate::consensus::raft::{
    growth::Growth,
    sending::Sending,
    types::{LogId, Raft, Types},
};

/// How many times its bound the log may grow while a snapshot travels.
const STRETCH: u64 = 4;

pub(super) struct Cutter {
    pub(super) raft: Raft,
    pub(super) growth: Arc<Growth>,
    pub(super) sending: Arc<Sending>,
    /// Entries below this index are about to be removed, whoever still wants them.
    pub(super) floor: watch::Sender<u64>,
    /// How many entries stay.
    pub(super) kept: u64,
}

impl Cutter {
    /// Runs until the replica stops.
    pub(super) async fn run(self) {
        while self.growth.reached().await {
            if self.sending.is_busy() && !self.growth.is_over(STRETCH) {
                continue;
            }
            self.growth.restart();
            if self.cut().await.is_err() {
                return;
            }
        }
    }

    async fn cut(&self) -> Result<(), Fatal<Types>> {
        if self.raise_floor() {
            // Whoever pauses after a failure does not look at the floor, and openraft keeps the log for it.
            self.raft.trigger().reset_backoff([]).await?;
        }
        self.raft.trigger().snapshot().await
    }

    /// Asks for what the last cut should have removed, and could not. Whether there is such a thing.
    fn raise_floor(&self) -> bool {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let end = |last: Option<LogId>| last.map_or(0, |last| last.index() + 1);
        let due = end(metrics.snapshot).saturating_sub(self.kept);
        if end(metrics.purged) >= due {
            return false;
        }
        self.floor.send_if_modified(|floor| due > std::mem::replace(floor, due.max(*floor)));
        true
    }
}
