//! Calls at a fixed rate while pods are exchanged, each to a counter of its caller's own.

use std::time::Duration;

use hdrhistogram::Histogram;
use playhouse_client::Entity;
use playhouse_cluster::environment::watch;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at},
};

use super::overlay::Overlay;
use crate::rows::key;

/// How many there are, and how often each of them calls: 320 calls per second.
const CALLERS: u32 = 32;
const EVERY: Duration = Duration::from_millis(100);

/// The longest latency that is told apart from longer ones.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Callers at work.
pub(super) struct Callers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Seen>,
}

/// What they saw.
pub(super) struct Seen {
    /// In microseconds, from the moment when the call was due.
    pub(super) latencies: Histogram<u64>,
    /// Calls that a client gave up after all its retries.
    pub(super) failed: u64,
}

#[derive(Deserialize)]
struct Value {
    value: u64,
}

impl Callers {
    /// Starts them, spread over the time between two calls.
    pub(super) fn start(overlay: &Overlay) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, begin) = (JoinSet::new(), Instant::now());
        for at in 0..CALLERS {
            let counter = overlay.client().entity("counter", key(at as usize)).expect("it is allowed");
            tasks.spawn(call(counter, begin + EVERY * at / CALLERS, stopped.clone()));
        }
        Self { stop, tasks }
    }

    /// Ends them after their current calls.
    pub(super) async fn end(self) -> Seen {
        self.stop.send_replace(true);
        let mut all = Seen::default();
        for seen in self.tasks.join_all().await {
            all.latencies.add(seen.latencies).expect("all have the same bounds");
            all.failed += seen.failed;
        }
        all
    }
}

impl Default for Seen {
    fn default() -> Self {
        let latencies = Histogram::new_with_max(LATENCY_US_MAX, 3).expect("the bounds are allowed");
        Self { latencies, failed: 0 }
    }
}

async fn call(counter: Entity, begin: Instant, stopped: watch::Receiver<bool>) -> Seen {
    let (mut seen, mut due) = (Seen::default(), interval_at(begin, EVERY));
    while !*stopped.borrow() {
        // A call that is late because the one before took long is late from here on.
        let due = due.tick().await;
        let answer = counter.call::<_, Value>(&json!({"add": 1})).await;
        seen.failed += u64::from(answer.is_err());
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        seen.latencies.saturating_record(took);
    }
    audit(&counter, &seen).await;
    seen
}

/// What was acknowledged is there, once; what failed may be.
async fn audit(counter: &Entity, seen: &Seen) {
    let Value { value } = counter.call(&json!({"get": {}})).await.expect("it is answered when all is over");
    let sent = seen.latencies.len();
    assert!((sent - seen.failed..=sent).contains(&value), "{value} of {sent}, {} failed", seen.failed);
}
