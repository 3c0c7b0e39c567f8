//! More nodes, all of them processes of this machine: what grows is their number, not what they run on.

use std::{num::NonZeroU16, path::Path};

use bytes::Bytes;
use playhouse::protocol::EntityId;
use playhouse::router::EntityRef;

use super::{
    super::{key, remote::in_place, remote_call},
    IDLE, Point,
    shards::{replicated_calls, settled_after},
};
use crate::{
    Effort, Figures,
    Unit::PerSecond,
    cluster::{Cluster, Plan, shards},
    sink::{Command, Sink},
};

const AXIS: &str = "nodes";
const NODES: [usize; 3] = [3, 5, 7];
const QUICK_NODES: [usize; 1] = [3];
const CALLERS: usize = 512;
const REPLICATED_KEYS: usize = 1_000;
const REMOTE_CALLS: usize = 300_000;
const BODY: usize = 16;

pub(in crate::rows) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    figures.remark("all nodes are processes of this machine and share its cores");
    for _ in 0..effort.runs {
        for nodes in if effort.is_quick { &QUICK_NODES[..] } else { &NODES } {
            let mut point = Point { figures, axis: AXIS, x: *nodes as f64 };
            measure(*nodes, shards(effort), effort, &mut point);
        }
    }
}

fn measure(nodes: usize, shards: NonZeroU16, effort: Effort, point: &mut Point<'_>) {
    let cluster = Cluster::with_own_after(Plan::replicated(nodes, shards), settled_after(effort));
    point.took("start to ready", cluster.formed.ready);
    point.took("start to all replicas", cluster.formed.replicated);
    point.took("start to settled leaders", cluster.formed.settled);
    point.idle(&cluster.children, effort.lasting(IDLE), "a node");
    let rate = replicated_calls(&cluster, CALLERS, REPLICATED_KEYS, effort);
    point.ours(&format!("replicated call, {CALLERS} callers"), PerSecond, rate);
    let rate = in_place(&cluster, point.figures, || remote_calls(&cluster, effort));
    point.ours(&format!("remote call, {CALLERS} callers"), PerSecond, rate);
    cluster.kill();
}

/// From the node of this process to entities of all others. `None` when a leadership moved meanwhile.
fn remote_calls(cluster: &Cluster, effort: Effort) -> Option<f64> {
    let id = |key: &String| EntityId::new("sink", key).expect("the bench chooses allowed names");
    let is_remote = |key: &String| matches!(cluster.leader(&id(key)), Some(Some(_)));
    let targets: Vec<EntityRef<Sink>> =
        (0..).map(key).filter(is_remote).take(CALLERS).map(|key| cluster.own().entity(&key)).collect();
    let command = Command::Load(Bytes::from_static(&[7; BODY]));
    remote_call::rate(cluster, &targets, effort.of(REMOTE_CALLS).max(CALLERS), &command)
}
