//! Replicated durable calls that start at a rate which no answer can slow down, through the gateways of three processes; beside etcd.
//!
//! Latency counts from the intended start, so a pause of the cluster is felt by all who were to start in it. A rate that is not
//! reached is told as what was reached, with its failures: that is the finding, and no reason to end.

use std::{num::NonZeroU16, path::Path, sync::Arc, time::Duration};

use playhouse::load::{
    self, Access, Arrivals, Fault, Machine, Messages, NO_ANSWER, Operation, Pace, Plan as Load, Report, Run,
    Target, Transport,
};
use playhouse_client::Config;
use playhouse_cluster::environment::Environment;
use tokio::{
    runtime::Runtime,
    time::{Instant, timeout_at},
};

use super::key;
use crate::{
    Effort, Figures, Unit,
    cluster::{self, Cluster, Plan},
    etcd::{Etcd, EtcdClient},
    node::runtime,
    peers, table,
};

/// The claim that is measured.
const RATE: u32 = 22_000;
const LASTING: Duration = Duration::from_secs(60);
const KEYS: &[u64] = &[CURVE_KEYS, 16];
/// The way to it. The last point is the claim itself.
const CURVE: [u32; 4] = [2_000, 5_000, 10_000, 15_000];
const CURVE_KEYS: u64 = 1_000;
/// What a cluster of small machines may be founded with instead: more calls share an entry.
const FEW_SHARDS: NonZeroU16 = NonZeroU16::new(16).expect("it is not zero");
const POINT: Duration = Duration::from_secs(10);
/// Before anything is measured.
const WARM: Duration = Duration::from_secs(5);
const VALUE_BYTES: usize = 128;
/// Of both: enough that no connection is the limit, few enough that requests share frames.
const CONNECTIONS: usize = 24;
/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than any run may leave unanswered in its timeout.
const IN_FLIGHT_MAX: usize = 250_000;
/// What a node may remember of keys, for each shard: 16 keys are in few shards, and their nodes would refuse calls when it is full.
const IDEMPOTENCY: &str = "limits.idempotency_bytes_max=128MiB";

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let runtime = runtime();
    for _ in 0..effort.runs {
        let who = format!("{}, {FEW_SHARDS} shards", table::OURS);
        ours(effort, (table::OURS, cluster::shards(effort)), KEYS, &runtime, figures);
        ours(effort, (&who, FEW_SHARDS), &[CURVE_KEYS], &runtime, figures);
        beside_etcd(effort, &runtime, figures);
    }
}

fn ours(
    effort: Effort,
    (who, shards): (&str, NonZeroU16),
    keys: &[u64],
    runtime: &Runtime,
    figures: &mut Figures,
) {
    let plan = Plan::replicated(3, shards);
    let cluster = Cluster::apart_with(plan, &[IDEMPOTENCY.to_owned()]);
    let gateways = cluster.gateways();
    let measure = |rate, keys, lasting| {
        let load = Arc::new(load(effort, rate, keys, lasting));
        runtime.block_on(through_gateways(&load, &gateways, environment(runtime)))
    };
    all(effort, who, keys, figures, measure);
    cluster.stop();
}

fn beside_etcd(effort: Effort, runtime: &Runtime, figures: &mut Figures) {
    if !peers::ETCD.is_installed_or_remark(figures) {
        return;
    }
    let (etcd, connections) = runtime.block_on(async {
        let etcd = Etcd::start().await;
        let connections = etcd.connect(CONNECTIONS).await;
        (etcd, connections)
    });
    let measure = |rate, keys, lasting| {
        let load = Arc::new(load(effort, rate, keys, lasting));
        let puts = Puts { connections: connections.clone(), keys };
        runtime.block_on(drive(&load, puts, environment(runtime)))
    };
    all(effort, "etcd", KEYS, figures, measure);
    drop(etcd);
}

/// The curve, then the claim with so many keys.
fn all(
    effort: Effort,
    who: &str,
    keys: &[u64],
    figures: &mut Figures,
    measure: impl Fn(u32, u64, Duration) -> Report,
) {
    for rate in CURVE {
        note_point(who, rate, &measure(rate, CURVE_KEYS, effort.lasting(POINT)), figures);
    }
    for &keys in keys {
        let report = measure(RATE, keys, effort.lasting(LASTING));
        if keys == CURVE_KEYS {
            note_point(who, RATE, &report, figures);
        }
        note_claim(who, keys, &report, figures);
    }
}

fn note_claim(who: &str, keys: u64, report: &Report, figures: &mut Figures) {
    let mut note = |what: &str, unit, value| {
        let work = format!("replicated calls, {RATE} per second offered for 60 s, {keys} keys, {what}");
        figures.note(table::name(&work, who), unit, value);
    };
    note("answered", Unit::PerSecond, report.answered_per_second);
    for (what, latency) in latencies(report) {
        note(what, Unit::Nanoseconds, latency);
    }
    note("failed", Unit::Count, report.counts.failed as f64);
    if report.counts.failed > 0 {
        figures.remark(format!("{who}, {RATE} per second offered, {keys} keys: {:?} failed", report.errors));
    }
}

fn note_point(who: &str, rate: u32, report: &Report, figures: &mut Figures) {
    let mut note = |what: &str, unit, value| {
        let name = table::name(&format!("replicated calls in an open loop, {what}"), who);
        figures.note_at(name, ("offered calls/s", f64::from(rate)), unit, value);
    };
    note("answered", Unit::PerSecond, report.answered_per_second);
    for (what, latency) in latencies(report) {
        note(what, Unit::Nanoseconds, latency);
    }
    note("failed", Unit::Count, report.counts.failed as f64);
}

/// In nanoseconds, of all requests: one that failed took all the time that it had.
fn latencies(report: &Report) -> [(&'static str, f64); 4] {
    let found = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];
    found.map(|(what, share)| (what, report.answered_within(share).unwrap_or(TIMEOUT).as_nanos() as f64))
}

fn load(effort: Effort, rate: u32, keys: u64, duration: Duration) -> Load {
    let message = format!(r#"{{"put":{{"value":"{}"}}}}"#, "v".repeat(VALUE_BYTES));
    Load {
        kind: "document".to_owned(),
        key_prefix: "open-loop-".to_owned(),
        keys,
        operation: Operation::Call,
        messages: Messages::new([message]).expect("it is JSON"),
        idempotency: true,
        pace: Pace::Open { rate: effort.of(rate as usize) as f64, arrivals: Arrivals::Constant },
        transport: Transport::Websocket,
        connections: CONNECTIONS,
        warm_up: effort.lasting(WARM),
        duration,
        timeout: TIMEOUT,
        in_flight_max: IN_FLIGHT_MAX,
    }
}

async fn through_gateways(load: &Arc<Load>, gateways: &[String], environment: Environment) -> Report {
    let config = Config::new(gateways).expect("gateways have addresses");
    let access = Access { config, from: Vec::new(), reuse: true };
    let (cluster, silent) = load::open(load, &access).await.expect("the gateways take load");
    assert!(silent.is_empty(), "all gateways answer: {silent:?}");
    drive(load, cluster, environment).await
}

async fn drive(load: &Arc<Load>, target: impl Target, environment: Environment) -> Report {
    let outcome = Run::new(Arc::clone(load), target, environment).drive(std::future::pending).await;
    Report::new(load, &outcome, Vec::new(), Machine::here())
}

fn environment(runtime: &Runtime) -> Environment {
    crate::node::environment(runtime.handle())
}

/// The same load on etcd.
struct Puts {
    connections: Vec<EtcdClient>,
    keys: u64,
}

impl Target for Puts {
    async fn send(&self, number: u64, deadline: Instant) -> Result<(), Fault> {
        let at = |all: u64| usize::try_from(number % all).expect("there are few");
        let client = &self.connections[at(self.connections.len() as u64)];
        let key = key(at(self.keys));
        let failed = |code: &'static str, detail: String| Fault { code: code.into(), detail };
        match timeout_at(deadline, client.put(key.as_bytes(), &[b'v'; VALUE_BYTES])).await {
            Ok(outcome) => outcome.map_err(|error| failed("etcd", error.to_string())),
            Err(_) => Err(failed(NO_ANSWER, "not in time".to_owned())),
        }
    }
}
