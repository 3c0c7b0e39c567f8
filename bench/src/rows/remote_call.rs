//! Call of entities that another process leads, beside raw frames between two processes.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use hdrhistogram::Histogram;
use playhouse::{protocol::CallError, router::EntityRef};
use tokio::time::Instant;

use super::{
    redis::InMemory,
    remote::{in_place, linked, on_or_off, targets},
};
use crate::{
    Effort, Figures, Unit,
    cluster::Cluster,
    peers,
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
    let mut redis = peers::REDIS.is_installed_or_remark(figures).then(InMemory::start);
    let (alone, together) = (effort.of(ALONE), effort.of(TOGETHER).max(CALLERS));
    for _ in 0..effort.runs {
        for (is_encrypted, cluster) in &clusters {
            let who = format!("{OURS}, encryption {}", on_or_off(*is_encrypted));
            let latencies =
                in_place(cluster, figures, || one_caller(cluster, &targets(cluster, 1)[0], alone));
            note(figures, &who, &latencies);
            let rate = in_place(cluster, figures, || {
                rate(cluster, &targets(cluster, CALLERS), together, &command())
            });
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

/// `None` when the leadership of the target moved meanwhile.
fn one_caller(cluster: &Cluster, target: &EntityRef<Sink>, calls: usize) -> Option<Histogram<u64>> {
    let leader = cluster.leader(target.id());
    let asked = cluster.own().each([target.clone()], |target| async move {
        let (mut latencies, command) = (histogram(), command());
        let mut counted = Counted::default();
        for number in 0..WARM + calls {
            let began = Instant::now();
            counted.take(target.call(&command).await)?;
            if number >= WARM {
                record(&mut latencies, began.elapsed());
            }
        }
        Some(latencies)
    });
    let latencies = asked.into_iter().next().expect("there is one caller")?;
    (cluster.leader(target.id()) == leader).then_some(latencies)
}

/// Each caller calls an entity of its own. `None` when the leadership of one of them moved meanwhile.
pub(super) fn rate(
    cluster: &Cluster,
    targets: &[EntityRef<Sink>],
    calls: usize,
    command: &Command,
) -> Option<f64> {
    let leaders = || -> Vec<_> { targets.iter().map(|target| cluster.leader(target.id())).collect() };
    let (each, before, started) = (calls / targets.len(), leaders(), Instant::now());
    let answered = cluster.own().each(targets.to_vec(), |target| {
        let command = command.clone();
        async move {
            let mut counted = Counted::default();
            for _ in 0..each {
                counted.take(target.call(&command).await)?;
            }
            Some(each)
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let counted: usize = answered.into_iter().sum::<Option<_>>()?;
    (leaders() == before).then_some(counted as f64 / seconds)
}

/// What a sink has counted, whom nobody else calls: each call once.
#[derive(Debug, Default)]
struct Counted {
    last: Option<u64>,
}

impl Counted {
    /// `None` when another node leads it now: the entity is `Volatile` and begins anew there.
    ///
    /// # Panics
    ///
    /// When the call failed for another reason, or did not count once.
    fn take(&mut self, answer: Result<u64, CallError>) -> Option<()> {
        let counted = match answer {
            Ok(counted) => counted,
            Err(CallError::Unavailable { .. } | CallError::NotCommitted | CallError::OutcomeUnknown) => {
                return None;
            }
            Err(error) => panic!("a sink never refuses: {error}"),
        };
        let before = self.last.replace(counted).unwrap_or(counted.saturating_sub(1));
        assert!(counted <= before + 1, "every call counts once: {counted} after {before}");
        (counted == before + 1).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_that_goes_on_counting_did_not_move() {
        let mut counted = Counted::default();
        assert_eq!([7, 8, 9].map(|count| counted.take(Ok(count))), [Some(()); 3]);
    }

    #[test]
    fn a_sink_that_moved_is_no_error() {
        let mut counted = Counted::default();
        assert_eq!([7, 8, 1].map(|count| counted.take(Ok(count))), [Some(()), Some(()), None]);
        assert_eq!(counted.take(Err(CallError::NotCommitted)), None);
    }

    #[test]
    #[should_panic(expected = "every call counts once")]
    fn a_call_that_counts_twice_is_an_error() {
        let mut counted = Counted::default();
        let _ = [7, 9].map(|count| counted.take(Ok(count)));
    }

    #[test]
    #[should_panic(expected = "never refuses")]
    fn another_failure_is_an_error() {
        let _ = Counted::default().take(Err(CallError::DeadlineExceeded));
    }
}
