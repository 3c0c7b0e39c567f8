//! How a load is measured: a time to get warm, then a window in which answers count.

use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::{
    runtime::{Handle, Runtime},
    time::{Instant, sleep_until},
};

use crate::child::Child;

/// How long a load lasts.
#[derive(Clone, Copy, Debug)]
pub(in crate::rows) struct Times {
    pub(in crate::rows) warm: Duration,
    pub(in crate::rows) run: Duration,
}

/// When answers count.
#[derive(Clone, Copy, Debug)]
pub(in crate::rows) struct Window {
    from: Instant,
    to: Instant,
}

impl Window {
    /// Whether no more shall be asked.
    pub(in crate::rows) fn is_over(&self, now: Instant) -> bool {
        now >= self.to
    }
}

/// What one connection saw.
pub(in crate::rows) struct Tally {
    window: Window,
    /// In the window.
    counted: u64,
    /// Outside of it, too.
    answered: u64,
    latencies: Histogram<u64>,
}

impl Tally {
    pub(in crate::rows) fn new(window: Window) -> Self {
        let latencies = Histogram::new(3).expect("three digits are allowed");
        Self { window, counted: 0, answered: 0, latencies }
    }

    /// What was asked at `began` is answered.
    pub(in crate::rows) fn note(&mut self, began: Instant, now: Instant) {
        self.answered += 1;
        if now >= self.window.from && !self.window.is_over(now) {
            self.counted += 1;
            let nanoseconds = u64::try_from((now - began).as_nanos()).unwrap_or(u64::MAX);
            self.latencies.record(nanoseconds).expect("it grows as needed");
        }
    }
}

/// What a load came to.
#[derive(Debug)]
pub(in crate::rows) struct Measured {
    pub(in crate::rows) per_second: f64,
    /// In nanoseconds, as the next two.
    pub(in crate::rows) p50: f64,
    pub(in crate::rows) p99: f64,
    /// How long the server ran on any processor, for each answer.
    pub(in crate::rows) server_time: f64,
    /// All answers, those while it got warm, too.
    pub(in crate::rows) answered: u64,
}

/// Lets each connection talk until the window is over.
pub(in crate::rows) fn measure<F>(
    runtime: &Runtime,
    server: &Child,
    connections: usize,
    times: Times,
    talk: impl Fn(usize, Window) -> F,
) -> Measured
where
    F: Future<Output = Tally> + Send + 'static,
{
    let from = Instant::now() + times.warm;
    let window = Window { from, to: from + times.run };
    let measuring = async {
        let tasks = Handle::current();
        let talks: Vec<_> =
            (0..connections).map(|connection| tasks.spawn(talk(connection, window))).collect();
        sleep_until(window.from).await;
        let before = server.cpu_seconds();
        sleep_until(window.to).await;
        let spent = server.cpu_seconds() - before;
        let tallies = futures_util::future::try_join_all(talks).await.expect("no connection fails");
        sum(&tallies, spent, times.run)
    };
    runtime.block_on(measuring)
}

fn sum(tallies: &[Tally], spent_s: f64, run: Duration) -> Measured {
    let mut latencies = Histogram::<u64>::new(3).expect("three digits are allowed");
    tallies.iter().for_each(|tally| latencies.add(&tally.latencies).expect("it grows as needed"));
    let counted: u64 = tallies.iter().map(|tally| tally.counted).sum();
    let quantile = |percent| latencies.value_at_percentile(percent) as f64;
    Measured {
        per_second: counted as f64 / run.as_secs_f64(),
        p50: quantile(50.0),
        p99: quantile(99.0),
        server_time: spent_s * 1e9 / counted.max(1) as f64,
        answered: tallies.iter().map(|tally| tally.answered).sum(),
    }
}
