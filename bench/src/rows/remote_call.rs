//! Call of entities that another process leads, beside raw frames between two processes.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use hdrhistogram::Histogram;
use playhouse::router::EntityRef;
use tokio::time::Instant;

use super::{
    redis::{self, InMemory},
    remote::{linked, on_or_off, targets},
};
use crate::{
    Effort, Figures, Unit,
    cluster::Cluster,
    raw_frames::RawFrames,
    sink::{Command, Sink},
    table::{OURS, name},
};

/// Calls of a single caller.
const ALONE: usize = 20_000;
const CALLERS: usize = 512;
/// Bytes of a body.
const BODY: usize = 16;
/// Calls of all of them.
const TOGETHER: usize = 1_000_000;
/// Calls before anything is measured.
const WARM: usize = 500;
/// Keeps everything in memory only.
const REDIS: &str = "Redis";

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let clusters = [false, true].map(|is_encrypted| (is_encrypted, linked(effort, is_encrypted)));
    let (raw, many) = (RawFrames::start(), format!("remote call, {CALLERS} callers"));
    let mut redis = redis::is_installed(figures).then(InMemory::start);
    let (alone, together) = (effort.of(ALONE), effort.of(TOGETHER).max(CALLERS));
    for _ in 0..effort.runs {
        for (is_encrypted, cluster) in &clusters {
            let targets = targets(cluster, CALLERS);
            let who = format!("{OURS}, encryption {}", on_or_off(*is_encrypted));
            note(figures, &who, &one_caller(cluster, &targets[0], alone));
            let rate = rate(cluster, &targets, together, &command());
            figures.note(name(&many, &who), Unit::PerSecond, rate);
        }
        if let Some(redis) = &mut redis {
            note(figures, REDIS, &redis.one_caller(WARM, alone));
            figures.note(name(&many, REDIS), Unit::PerSecond, redis.rate(CALLERS, CALLERS, together));
            let rate = redis.rate(CALLERS, 1, together);
            figures.note(name(&many, "Redis, one connection"), Unit::PerSecond, rate);
        }
        let mut latencies = histogram();
        raw.calls(WARM, 1, &mut |_| {});
        raw.calls(alone, 1, &mut |latency| record(&mut latencies, latency));
        note(figures, "raw frames", &latencies);
        let rate = raw.callers(together, CALLERS, BODY);
        figures.note(name(&many, "raw frames"), Unit::PerSecond, rate);
        let took = raw.calls(together, CALLERS, &mut |_| {});
        let rate = together as f64 / took.as_secs_f64();
        figures.note(name(&many, "raw frames, in flight of one task"), Unit::PerSecond, rate);
    }
    clusters.into_iter().for_each(|(_, cluster)| cluster.stop());
}

fn note(figures: &mut Figures, who: &str, latencies: &Histogram<u64>) {
    for (what, percentile) in [("p50", 50.0), ("p99", 99.0)] {
        let latency = latencies.value_at_percentile(percentile);
        figures.note(name(&format!("remote call, 1 caller, {what}"), who), Unit::Nanoseconds, latency as f64);
    }
}

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

pub(super) fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    latencies.record(nanoseconds).expect("it grows as needed");
}

fn command() -> Command {
    Command::Load(Bytes::from_static(&[7; BODY]))
}

fn one_caller(cluster: &Cluster, target: &EntityRef<Sink>, calls: usize) -> Histogram<u64> {
    let asked = cluster.own().each([target.clone()], |target| async move {
        let (mut latencies, command) = (histogram(), command());
        for number in 0..WARM + calls {
            let began = Instant::now();
            target.call(&command).await.expect("a sink never refuses");
            if number >= WARM {
                record(&mut latencies, began.elapsed());
            }
        }
        latencies
    });
    asked.into_iter().next().expect("there is one caller")
}

/// Each caller calls an entity of its own.
pub(super) fn rate(cluster: &Cluster, targets: &[EntityRef<Sink>], calls: usize, command: &Command) -> f64 {
    let each = calls / targets.len();
    let started = Instant::now();
    let answered = cluster.own().each(targets.to_vec(), |target| {
        let command = command.clone();
        async move {
            let first = target.call(&command).await.expect("a sink never refuses");
            let mut last = first;
            for _ in 1..each {
                last = target.call(&command).await.expect("a sink never refuses");
            }
            last - first + 1
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let counted: u64 = answered.into_iter().sum();
    assert_eq!(counted, (each * targets.len()) as u64, "every call counts once");
    counted as f64 / seconds
}
