//! Counters of Redis, called as counters of ours are: each caller adds to its own, and every answer is checked.

use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::{runtime::Runtime, task::JoinHandle, time::Instant};

use super::{key, remote_call};
use crate::{
    node::runtime,
    redis_server::{Keeps, Redis, RedisClient},
};

/// Durable calls per second of so many callers, each with a connection.
pub(super) fn durable(callers: usize, run: Duration) -> f64 {
    let runtime = runtime();
    let redis = runtime.block_on(Redis::start(Keeps::AppendFsyncAlways));
    let clients = runtime.block_on(redis.connect(callers));
    let (until, started) = (Instant::now() + run, Instant::now());
    let calling = clients.into_iter().enumerate().map(|(caller, client)| {
        runtime.handle().spawn(count(client, key(caller), move |_| Instant::now() < until))
    });
    let counted = sum(&runtime, calling.collect());
    counted as f64 / started.elapsed().as_secs_f64()
}

/// A server that keeps everything in memory, and who calls it.
pub(super) struct InMemory {
    redis: Redis,
    // Last: connections need it.
    runtime: Runtime,
    /// Counters that nobody used.
    unused: usize,
}

impl InMemory {
    pub(super) fn start() -> Self {
        let runtime = runtime();
        let redis = runtime.block_on(Redis::start(Keeps::Nothing));
        Self { redis, runtime, unused: 0 }
    }

    /// How long calls of one caller take, after so many that are not counted.
    pub(super) fn one_caller(&self, warm: usize, calls: usize) -> Histogram<u64> {
        let client = self.runtime.block_on(self.redis.connect(1)).remove(0);
        let calling = self.runtime.handle().spawn(async move {
            let (mut client, mut latencies) = (client, remote_call::histogram());
            for number in 0..warm + calls {
                let began = Instant::now();
                client.increment("alone").await;
                if number >= warm {
                    remote_call::record(&mut latencies, began.elapsed());
                }
            }
            latencies
        });
        self.runtime.block_on(calling).expect("no task panics")
    }

    /// Calls per second of all callers, who share so many connections.
    pub(super) fn rate(&mut self, callers: usize, connections: usize, calls: usize) -> f64 {
        let clients = self.runtime.block_on(self.redis.connect(connections));
        let each = (calls / callers) as u64;
        let own = self.unused..self.unused + callers;
        self.unused = own.end;
        let started = Instant::now();
        let calling = own.map(|counter| {
            let client = clients[counter % connections].clone();
            self.runtime.handle().spawn(count(client, key(counter), move |counted| counted < each))
        });
        let counted = sum(&self.runtime, calling.collect());
        assert_eq!(counted, each * callers as u64, "every call counts once");
        counted as f64 / started.elapsed().as_secs_f64()
    }
}

/// Adds to a counter that nobody used, one call after the other.
async fn count(mut client: RedisClient, counter: String, goes_on: impl Fn(u64) -> bool) -> u64 {
    let mut counted = 0;
    while goes_on(counted) {
        counted += 1;
        assert_eq!(client.increment(&counter).await, counted, "every call counts once");
    }
    counted
}

fn sum(runtime: &Runtime, calling: Vec<JoinHandle<u64>>) -> u64 {
    let counted = runtime.block_on(futures_util::future::try_join_all(calling));
    counted.expect("no task panics").into_iter().sum()
}
