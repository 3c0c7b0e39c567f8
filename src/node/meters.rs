//! Reads what the rooms counted into the metrics.

mod cluster;

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use playhouse_cluster::environment::watch;
use playhouse_cluster::peering::processes::Processes;
use playhouse_cluster::store::{DiskCall, Probe, SYNC_BOUNDS_US};

use self::cluster::ClusterMeters;
use super::Operator;
use crate::{
    entity::{KindDescription, KindIndex, KindRegistry},
    process::Distribution,
    router::{AnswerObserver, Router},
    shard::ShardStatistics,
    telemetry::{KindMetrics, Metrics, UNKNOWN_KIND},
};

/// Counts each answer to a client.
pub(super) fn answer_observer(metrics: &Metrics, kinds: &KindRegistry) -> AnswerObserver {
    let name = |kind: &KindDescription| metrics.kind(kind.kind.as_str());
    let kinds: Vec<KindMetrics> = kinds.descriptions().map(name).collect();
    // Shown only once somebody asked for one.
    let (metrics, unknown) = (metrics.clone(), OnceLock::new());
    Arc::new(move |kind: KindIndex, outcome, took: Duration| {
        let known = kinds.get(usize::from(kind.0));
        let metrics = known.unwrap_or_else(|| unknown.get_or_init(|| metrics.kind(UNKNOWN_KIND)));
        metrics.call_seconds.observe(took.as_secs_f64());
        match outcome {
            Ok(()) => metrics.calls_ok.inc(),
            Err(code) => metrics.call_failed(code),
        }
    })
}

/// Reads counters of the rooms into the metrics of the node.
#[derive(Clone)]
pub struct Meters {
    metrics: Metrics,
    /// Not the store: whoever holds that keeps its files open.
    store: Probe,
    router: Router,
    statistics: Vec<watch::Receiver<ShardStatistics>>,
    told: Arc<Mutex<Told>>,
    cluster: ClusterMeters,
}

/// What was already added to counters that only grow.
#[derive(Default)]
struct Told {
    syncs: u64,
    buckets: [u64; SYNC_BOUNDS_US.len() + 1],
}

impl Meters {
    pub(super) fn new(
        metrics: Metrics,
        store: Probe,
        router: Router,
        operator: Operator,
        (processes, distribution): (Option<Processes>, Option<Distribution>),
        statistics: Vec<watch::Receiver<ShardStatistics>>,
    ) -> Self {
        let cluster = ClusterMeters {
            metrics: metrics.clone(),
            operator,
            processes,
            distribution,
            router: router.clone(),
            turn: Arc::default(),
        };
        Self { metrics, store, router, statistics, told: Arc::default(), cluster }
    }

    /// Reads everything now. It gives way to others while it looks at each process of the node.
    pub async fn read(&self) {
        self.cluster.read_processes().await;
        let sum = |count: fn(&ShardStatistics) -> usize| -> i64 {
            let total: usize = self.statistics.iter().map(|shard| count(&shard.borrow())).sum();
            i64::try_from(total).unwrap_or(i64::MAX)
        };
        self.metrics.outbox_messages.set(sum(|shard| shard.outbox));
        self.metrics.resident_bytes.set(sum(|shard| shard.tables.resident_bytes));
        self.metrics
            .idempotency_bytes
            .set(sum(|shard| usize::try_from(shard.idempotency_bytes).unwrap_or(usize::MAX)));
        self.metrics.shards_led.set(i64::try_from(self.router.led_shards()).unwrap_or(i64::MAX));
        let (messages, bytes) = self.router.mailbox_depth();
        self.metrics.mailbox_messages.set(i64::try_from(messages).unwrap_or(i64::MAX));
        self.metrics.mailbox_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.read_store();
        self.cluster.read();
    }

    fn read_store(&self) {
        self.metrics.store_healthy.set(i64::from(self.store.is_healthy()));
        let waiting = [DiskCall::Write, DiskCall::Sync].into_iter().filter_map(|call| self.store.begun(call));
        let waiting_s = waiting.map(|begun| begun.elapsed().as_secs()).max().unwrap_or(0);
        self.metrics.store_waiting_seconds.set(i64::try_from(waiting_s).unwrap_or(i64::MAX));
        if let Some(free) = self.store.free_bytes() {
            self.metrics.store_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        if let Some(size) = self.store.volume_bytes() {
            self.metrics.store_volume_bytes.set(i64::try_from(size).unwrap_or(i64::MAX));
        }
        let (statistics, mut told) = (self.store.statistics(), self.told.lock());
        let syncs = statistics.syncs.load(Relaxed);
        self.metrics.store_commits.inc_by(syncs.saturating_sub(told.syncs));
        told.syncs = syncs;
        // The store counts in buckets of its own; each sync counts as long as the bound of its bucket.
        let bounds = SYNC_BOUNDS_US.iter().chain([&1_000_000]);
        for ((count, told), bound) in statistics.sync_buckets.iter().zip(&mut told.buckets).zip(bounds) {
            let now = count.load(Relaxed);
            (*told..now).for_each(|_| self.metrics.store_sync_seconds.observe(seconds(*bound)));
            *told = now;
        }
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}
