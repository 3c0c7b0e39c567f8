//! What a run was and what came of it: the file that `playhouse bench --report` writes. Pure.
//!
//! The fields are part of the contract (`docs/cli.md`); new ones may come, so readers ignore those that they do not know.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Buckets, Counts, Latencies, Machine, Operation, Outcome, Pace, Plan, Requirement, Second, Transport,
};

/// How the file is written; a larger number is not understood by older readers.
const FORMAT: u32 = 1;

/// What a run was and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How the file is written.
    pub format: u32,
    /// The version of the generator.
    pub version: String,
    /// The machine of the generator.
    pub machine: Machine,
    /// In milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// What was asked for.
    pub plan: PlanReport,
    /// Who was asked.
    pub gateways: Vec<GatewayReport>,
    /// Whether it was ended before its time. The figures are of the time until then.
    pub cut_short: bool,
    /// How long was measured.
    pub measured_seconds: f64,
    /// Requests of the warm-up. They are in no other figure but `answered_per_second`, where their late answers count, and
    /// `gateways`.
    pub warm_up: Counts,
    /// Requests of the measured time.
    #[serde(flatten)]
    pub counts: Counts,
    /// Requests that the pace asked for.
    pub intended_per_second: f64,
    /// Good answers that arrived within the measured time, those to requests of the warm-up included.
    pub answered_per_second: f64,
    /// Failed requests by the code of their problem.
    pub errors: BTreeMap<String, u64>,
    /// Of good answers, from the intended start. `None` when there is none.
    pub latency_ms: Option<LatencyReport>,
    /// All latencies.
    pub histogram: Buckets,
    /// Second by second.
    pub series: Vec<Second>,
    /// What was required, and whether it was reached.
    pub requirements: Vec<Verdict>,
    #[serde(skip)]
    latencies: Latencies,
}

/// A plan, as it is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// The kind of the entities.
    pub kind: String,
    /// Their keys are this and a number.
    pub key_prefix: String,
    /// How many entities.
    pub keys: u64,
    /// What was done to them.
    pub operation: Operation,
    /// What they were sent; empty when they were read.
    pub messages: Vec<String>,
    /// Whether each command had an idempotency key.
    pub idempotency: bool,
    /// When requests started.
    pub pace: Pace,
    /// How they travelled.
    pub transport: Transport,
    /// Over how many connections.
    pub connections: usize,
    /// How long load ran before anything was counted.
    pub warm_up_seconds: f64,
    /// How long was to be measured.
    pub duration_seconds: f64,
    /// How long one request could take.
    pub timeout_seconds: f64,
    /// How many requests could be unanswered.
    pub in_flight_max: usize,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// Its address.
    pub address: String,
    /// How often it failed: no connection, a broken one, no answer in time, or it was leaving. Also when another gateway then
    /// answered, so that no request failed. From the first connection on: the request that was sent alone before the load, and the
    /// warm-up, are included.
    pub failures: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The names say it: pN is what N of a hundred answers did not exceed.
pub struct LatencyReport {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// Whether a requirement was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The requirement.
    pub requirement: String,
    /// Whether it was reached.
    pub met: bool,
    /// What was measured.
    pub observed: String,
}

impl Report {
    /// What came of `plan`.
    #[must_use]
    pub fn new(plan: &Plan, outcome: &Outcome, gateways: Vec<GatewayReport>, machine: Machine) -> Self {
        let (tally, seconds) = (&outcome.tally, outcome.measured.as_secs_f64());
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let latencies = tally.latencies().clone();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine,
            started_at_ms: outcome.started_at_ms,
            plan: PlanReport::of(plan),
            gateways,
            cut_short: outcome.cut_short,
            measured_seconds: seconds,
            warm_up: tally.warm_up(),
            counts: tally.measured(),
            intended_per_second: per_second(tally.measured().intended),
            answered_per_second: per_second(tally.arrived()),
            errors: tally.errors().clone(),
            latency_ms: LatencyReport::of(&latencies),
            histogram: latencies.buckets(),
            series: tally.series().to_vec(),
            requirements: Vec::new(),
            latencies,
        }
    }

    /// Holds it against what was required.
    #[must_use]
    pub fn held_against(mut self, requirements: &[Requirement]) -> Self {
        let verdict = |requirement: &Requirement| Verdict {
            requirement: requirement.to_string(),
            met: requirement.is_met(&self),
            observed: requirement.observed(&self),
        };
        self.requirements = requirements.iter().map(verdict).collect();
        self
    }

    /// All latencies. Empty in a report that was read from a file, which has them as its `histogram`.
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// The time within which this share of all requests had a good answer. `None` when fewer of them ever had: one that failed counts
    /// as slower than any answer, so that a cluster cannot look fast by refusing. `share` is from 0 to 1. Of a report that was read from a file
    /// it is always `None`, as [`latencies`](Self::latencies) are empty.
    #[must_use]
    pub fn answered_within(&self, share: f64) -> Option<Duration> {
        let Counts { answered, failed, .. } = self.counts;
        // Shares such as 0.55 are a little more than they say.
        let rank = (share * (answered + failed) as f64 - 1e-6).ceil().max(1.0);
        let is_answered = rank <= answered as f64;
        // Half a rank below it, so that rounding does not reach the next one.
        is_answered.then(|| self.latencies.quantile((rank - 0.5) / answered as f64)).flatten()
    }

    /// Whether everything that was required was reached.
    #[must_use]
    pub fn meets_requirements(&self) -> bool {
        self.requirements.iter().all(|verdict| verdict.met)
    }
}

impl PlanReport {
    fn of(plan: &Plan) -> Self {
        Self {
            kind: plan.kind.clone(),
            key_prefix: plan.key_prefix.clone(),
            keys: plan.keys,
            operation: plan.operation,
            messages: if plan.writes() { plan.messages.texts() } else { Vec::new() },
            idempotency: plan.idempotency,
            pace: plan.pace,
            transport: plan.transport,
            connections: plan.connections,
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            duration_seconds: plan.duration.as_secs_f64(),
            timeout_seconds: plan.timeout.as_secs_f64(),
            in_flight_max: plan.in_flight_max,
        }
    }
}

impl LatencyReport {
    fn of(latencies: &Latencies) -> Option<Self> {
        let ms = |latency: Duration| latency.as_secs_f64() * 1e3;
        let quantile = |share: f64| latencies.quantile(share).map(ms);
        Some(Self {
            min: latencies.min().map(ms)?,
            mean: latencies.mean().map(ms)?,
            p50: quantile(0.5)?,
            p90: quantile(0.9)?,
            p95: quantile(0.95)?,
            p99: quantile(0.99)?,
            p99_9: quantile(0.999)?,
            max: latencies.max().map(ms)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::{Tally, testing::plan};

    /// Of ten seconds with these answers, and so many failures.
    pub(in crate::load) fn report(answers: impl IntoIterator<Item = Duration>, failed: usize) -> Report {
        let (plan, mut tally) = (plan(), Tally::new(&plan()));
        for latency in answers {
            tally.intend(Duration::ZERO);
            tally.send(Duration::ZERO, Duration::ZERO);
            tally.answer(Duration::ZERO, latency);
        }
        for _ in 0..failed {
            tally.intend(Duration::ZERO);
            tally.fail(Duration::ZERO, Duration::ZERO, "unavailable");
        }
        let outcome = Outcome { tally, started_at_ms: 1, measured: plan.duration, cut_short: false };
        Report::new(&plan, &outcome, Vec::new(), Machine::default())
    }

    #[test]
    fn a_report_survives_its_file() {
        let requirements = ["p30<1s".parse().unwrap(), "errors=0".parse().unwrap()];
        let report = report([Duration::from_millis(5)], 2).held_against(&requirements);
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!((read.counts.answered, read.counts.failed), (1, 2));
        assert_eq!(read.errors["unavailable"], 2);
        assert_eq!(read.histogram.buckets.len(), 1);
        assert!(!read.meets_requirements());
        let met: Vec<_> = read.requirements.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, false]);
    }

    /// 60 answers of 1 to 60 ms, and 40 failures.
    #[test]
    fn a_failure_is_slower_than_any_answer() {
        let report = report((1..=60).map(Duration::from_millis), 40);
        let within = |share: f64| report.answered_within(share).map(|latency| latency.as_millis());
        assert_eq!((within(0.0), within(0.5), within(0.6)), (Some(1), Some(50), Some(60)));
        assert_eq!((within(0.61), within(0.99), within(1.0)), (None, None, None));
        assert!(report.latency_ms.is_some_and(|latency| latency.p99 < 61.0), "this one is of answers");
        assert_eq!(self::report([], 0).answered_within(0.5), None);
    }

    #[test]
    fn a_run_that_was_stopped_at_once_has_no_rate_and_no_latency() {
        let plan = plan();
        let outcome =
            Outcome { tally: Tally::new(&plan), started_at_ms: 1, measured: Duration::ZERO, cut_short: true };
        let report = Report::new(&plan, &outcome, Vec::new(), Machine::default());
        assert_eq!((report.answered_per_second, report.intended_per_second), (0.0, 0.0));
        assert_eq!(report.latency_ms, None);
        assert!(serde_json::to_string(&report).unwrap().contains("\"cut_short\":true"));
    }
}
