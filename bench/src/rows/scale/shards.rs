//! More shards: of one node alone, and of three nodes with a replica of each.

use std::{num::NonZeroU16, path::Path, time::Duration};

use playhouse::kinds::{Counter, counter::Command};
use playhouse_cluster::store::EngineKind;
use tokio::time::Instant;

use super::{
    super::{call, durable, idle::QUIET_AFTER, key, replicated, volume},
    IDLE, Point,
};
use crate::{
    Effort, Figures,
    Unit::PerSecond,
    cluster::{Cluster, Plan},
    node::{TestNode, settings},
};

const AXIS: &str = "shards";
const SHARDS: [u16; 4] = [16, 64, 256, 1_024];
/// Those that are tried.
const QUICK_SHARDS: [u16; 1] = [16];
/// Leaderships that did not move for so long are where they should be.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const QUICK_SETTLED_AFTER: Duration = Duration::from_millis(300);

const LOCAL_CALLERS: usize = 64;
const LOCAL_CALLS: usize = 320_000;
const DURABLE_CALLERS: usize = 512;
const DURABLE_RUN: Duration = Duration::from_secs(1);
const REPLICATED_CALLERS: [usize; 2] = [64, 512];
const REPLICATED_KEYS: usize = 1_000;
const REPLICATED_WARM: Duration = Duration::from_millis(500);
const REPLICATED_RUN: Duration = Duration::from_secs(1);

pub(in crate::rows) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let shards = if effort.is_quick { &QUICK_SHARDS[..] } else { &SHARDS };
    for _ in 0..effort.runs {
        for shards in shards {
            let mut point = Point { figures, axis: AXIS, x: f64::from(*shards) };
            let shards = NonZeroU16::new(*shards).expect("none of them is zero");
            alone(shards, effort, &mut point);
            calls_alone(folder, shards, effort, &mut point);
            three(shards, effort, &mut point);
        }
    }
}

pub(super) fn settled_after(effort: Effort) -> Duration {
    if effort.is_quick { QUICK_SETTLED_AFTER } else { SETTLED_AFTER }
}

/// What a node in a process of its own takes.
fn alone(shards: NonZeroU16, effort: Effort, point: &mut Point<'_>) {
    let mut cluster = Cluster::apart_and_ready(Plan::alone(shards), &[]);
    point.took("one node, start to ready", cluster.formed.ready);
    std::thread::sleep(effort.lasting(QUIET_AFTER));
    point.idle(&cluster.children, effort.lasting(IDLE), "one node");
    let node = &mut cluster.children[0];
    let asked = Instant::now();
    node.terminate();
    node.wait();
    point.took("one node, SIGTERM to its end", asked.elapsed());
    let started = Instant::now();
    node.start_again();
    point.took("one node, start again to ready", started.elapsed());
    node.kill();
}

fn calls_alone(folder: &Path, shards: NonZeroU16, effort: Effort, point: &mut Point<'_>) {
    let volume = volume(folder);
    let mut settings = settings(volume.path(), EngineKind::Fjall);
    settings.shards = shards;
    let node = TestNode::start(&settings);
    let calls = effort.of(LOCAL_CALLS).max(LOCAL_CALLERS);
    let rate = call::entities(&node, LOCAL_CALLERS, calls);
    point.ours(&format!("local call, {LOCAL_CALLERS} callers"), PerSecond, rate);
    let rate = durable::calls_on(&node, DURABLE_CALLERS, effort.lasting(DURABLE_RUN));
    point.ours(&format!("durable call, {DURABLE_CALLERS} callers"), PerSecond, rate);
    node.stop();
}

fn three(shards: NonZeroU16, effort: Effort, point: &mut Point<'_>) {
    let cluster = Cluster::with_own_after(Plan::replicated(3, shards), settled_after(effort));
    point.took("three nodes, start to ready", cluster.formed.ready);
    point.took("three nodes, start to all replicas", cluster.formed.replicated);
    point.took("three nodes, start to settled leaders", cluster.formed.settled);
    point.idle(&cluster.children, effort.lasting(IDLE), "one of three nodes");
    for callers in REPLICATED_CALLERS {
        let rate = replicated_calls(&cluster, callers, REPLICATED_KEYS, effort);
        point.ours(&format!("replicated call, {callers} callers"), PerSecond, rate);
    }
    cluster.kill();
}

/// Callers on the node of this process add to counters wherever they are led.
pub(super) fn replicated_calls(cluster: &Cluster, callers: usize, keys: usize, effort: Effort) -> f64 {
    let times = (effort.lasting(REPLICATED_WARM), effort.lasting(REPLICATED_RUN));
    cluster.own().wait(replicated::rate(callers, times, |number| {
        let counter = cluster.own().entity::<Counter>(&key(number % keys));
        async move {
            counter.call(&Command::Add(1)).await.expect("the cluster is healthy");
        }
    }))
}
