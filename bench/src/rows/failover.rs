//! Kill of the process that leads a shard: how long until a caller at another node is answered again, and what is lost.

use std::{path::Path, time::Duration};

use playhouse_cluster::consensus::RaftId;
use tokio::time::Instant;

use super::probe::Probe;
use crate::{
    Effort, Figures, Unit,
    cluster::{self, Cluster, NodeChild, PATIENCE, Plan},
    table::{OURS, name},
};

const WORK: &str = "kill -9 to the first answer";
/// How often a process is killed.
const KILLS: usize = 50;
const QUICK_KILLS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Counters on as many shards, each with its caller.
const PROBES: usize = 12;

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let plan = Plan::replicated(3, cluster::shards(effort));
    let mut cluster = Cluster::with_own(plan);
    let probes = Probe::start(&cluster, PROBES);
    for kill in 0..if effort.is_quick { QUICK_KILLS } else { KILLS } {
        let victim = kill % cluster.children.len();
        let led = wait_until_leads(&cluster, &probes, cluster.children[victim].raft_id());
        let moment = Instant::now();
        cluster.children[victim].kill();
        let times = led.iter().map(|at| probes[*at].answered_after(moment).ended - moment);
        let times: Vec<_> = times.map(|time| time.as_nanos() as f64).collect();
        figures.note(name(WORK, OURS), Unit::Nanoseconds, times[0]);
        let slowest = times.iter().copied().fold(0.0, f64::max);
        figures.note(
            name(&format!("{WORK}, slowest of its probed shards"), OURS),
            Unit::Nanoseconds,
            slowest,
        );
        cluster.children[victim].start_again();
    }
    let seen: Vec<_> = probes.into_iter().map(|probe| probe.end(&cluster)).collect();
    for seen in &seen {
        figures.note(name("acknowledged effects lost, per counter", OURS), Unit::Count, seen.lost as f64);
        let failed = seen.calls.iter().filter(|call| !call.is_answered).count();
        figures.note(name("failed calls, per counter", OURS), Unit::Count, failed as f64);
    }
    let calls: usize = seen.iter().map(|seen| seen.calls.len()).sum();
    figures.remark(format!("{calls} calls in all"));
    cluster.stop();
}

/// Which of the probes are on shards that `leader` leads; at least one.
fn wait_until_leads(cluster: &Cluster, probes: &[Probe], leader: RaftId) -> Vec<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_led = |at: &usize| cluster.leader(probes[*at].id()) == Some(Some(leader));
        let led: Vec<_> = (0..probes.len()).filter(is_led).collect();
        if !led.is_empty() {
            return led;
        }
        let names: Vec<_> = cluster.children.iter().map(NodeChild::raft_id).collect();
        assert!(Instant::now() < deadline, "{leader:?} of {names:?} gets its leaderships back in time");
        std::thread::sleep(LOOK_EVERY);
    }
}
