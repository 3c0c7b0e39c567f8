//! Leaderships that move because a process was told to leave and came back: what callers at another node notice.

use std::path::Path;

use playhouse_cluster::consensus::RaftId;

use super::probe::{Call, Probe};
use crate::{
    Effort, Figures, Unit,
    cluster::{self, Cluster, Plan},
    table::{OURS, name},
};

/// How often a process is told to leave.
const DEPARTURES: usize = 10;
const QUICK_DEPARTURES: usize = 4;
/// Counters on as many shards, each with its caller.
const PROBES: usize = 32;

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let plan = Plan::replicated(3, cluster::shards(effort));
    let mut cluster = Cluster::with_own(plan);
    let probes = Probe::start(&cluster, if effort.is_quick { 8 } else { PROBES });
    for departure in 0..if effort.is_quick { QUICK_DEPARTURES } else { DEPARTURES } {
        let at = departure % cluster.children.len();
        let child = &mut cluster.children[at];
        child.terminate();
        child.wait();
        child.start_again();
        cluster.wait_until_settled();
    }
    let seen: Vec<_> = probes.into_iter().map(|probe| probe.end(&cluster)).collect();
    let mut calls = 0;
    for seen in &seen {
        calls += seen.calls.len();
        for (from, pause) in moves(&seen.calls) {
            let who = if from.is_some() { "another node" } else { "the caller's node" };
            figures.note(
                name("planned move, pause", &format!("{OURS}, from {who}")),
                Unit::Nanoseconds,
                pause,
            );
        }
        let failed = seen.calls.iter().filter(|call| !call.is_answered).count();
        figures.note(name("failed calls, per counter", OURS), Unit::Count, failed as f64);
        figures.note(name("acknowledged effects lost, per counter", OURS), Unit::Count, seen.lost as f64);
    }
    figures.remark(format!("{calls} calls in all"));
    cluster.stop();
}

/// From whom leadership moved, and the longest call about that time, in nanoseconds.
fn moves(calls: &[Call]) -> Vec<(Option<RaftId>, f64)> {
    let took = |call: &Call| (call.ended - call.began).as_nanos() as f64;
    let mut found = Vec::new();
    let (mut leader, mut pause) = (None, 0.0);
    for (call, next) in calls.iter().zip(calls.iter().skip(1)) {
        pause = f64::max(pause, took(call));
        // What is between may be nobody; it ends when somebody leads again.
        let Some(now) = call.leaders[1] else { continue };
        if let Some(before) = leader.replace(now).filter(|before| *before != now) {
            found.push((before, pause.max(took(next))));
        }
        pause = took(call);
    }
    found
}
