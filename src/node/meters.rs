//! Reads what the rooms counted into the metrics.

use std::{sync::Arc, time::Duration};

use playhouse_cluster::store::Health;
use tokio::sync::watch;

use crate::{
    router::{CommitObserver, Router},
    shard::ShardStatistics,
    telemetry::Metrics,
};

/// Observes the latency of each proposal.
pub(super) fn commit_observer(metrics: &Metrics) -> CommitObserver {
    let metrics = metrics.clone();
    Arc::new(move |latency: Duration| metrics.commit_seconds.observe(latency.as_secs_f64()))
}

/// Reads counters of the rooms into the metrics of the node.
#[derive(Clone)]
pub struct Meters {
    metrics: Metrics,
    /// Not the store: whoever holds that keeps its files open.
    store: watch::Receiver<Health>,
    router: Router,
    statistics: Vec<watch::Receiver<ShardStatistics>>,
}

impl Meters {
    pub(super) fn new(
        metrics: Metrics,
        store: watch::Receiver<Health>,
        router: Router,
        statistics: Vec<watch::Receiver<ShardStatistics>>,
    ) -> Self {
        Self { metrics, store, router, statistics }
    }

    /// Reads everything now.
    pub fn read(&self) {
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
        self.metrics.store_healthy.set(i64::from(self.store.borrow().is_healthy()));
    }
}
