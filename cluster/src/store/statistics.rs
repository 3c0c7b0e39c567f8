//! What the store counts.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets of [`Statistics::sync_buckets`], in microseconds. One more bucket holds the rest.
pub const SYNC_BOUNDS_US: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000];

/// Counters since the start of the store. They only grow, except [`queue_bytes`](Self::queue_bytes).
#[derive(Debug, Default)]
pub struct Statistics {
    /// Batches that were made durable for somebody who waited for it.
    pub commits: AtomicU64,
    /// Batches that were made visible for somebody who did not wait for durability.
    pub applies: AtomicU64,
    /// Merged writes. `(commits + applies) / writes` is how many batches shared one.
    pub writes: AtomicU64,
    /// Syncs. `commits / syncs` is how many batches shared one.
    pub syncs: AtomicU64,
    /// Bytes of keys and values handed to the engine.
    pub bytes_written: AtomicU64,
    /// Bytes of keys and values that wait for the writer now.
    pub queue_bytes: AtomicU64,
    /// Sum of the durations of all syncs, in microseconds.
    pub sync_us: AtomicU64,
    /// How many syncs took at most the bound of the same index in [`SYNC_BOUNDS_US`], not cumulative.
    pub sync_buckets: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
}

impl Statistics {
    /// Counts one sync that took `duration`.
    pub(super) fn record_sync(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BOUNDS_US.partition_point(|bound| *bound < us);
        self.sync_buckets[bucket].fetch_add(1, Relaxed);
        self.sync_us.fetch_add(us, Relaxed);
        self.syncs.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A duration on a bound belongs to that bucket; beyond the last bound there is one more.
    #[test]
    fn syncs_fall_into_the_bucket_of_their_bound() {
        let statistics = Statistics::default();
        for us in [0, 50, 51, 500_000, 500_001] {
            statistics.record_sync(Duration::from_micros(us));
        }
        let buckets = statistics.sync_buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        assert_eq!(buckets[0], 2);
        assert_eq!(buckets[1], 1);
        assert_eq!(buckets[SYNC_BOUNDS_US.len() - 1], 1);
        assert_eq!(buckets[SYNC_BOUNDS_US.len()], 1);
        assert_eq!(statistics.syncs.load(Relaxed), 5);
    }
}
