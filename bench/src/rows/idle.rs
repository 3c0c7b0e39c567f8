//! What three nodes without load take.

use std::{num::NonZeroU16, path::Path, time::Duration};

use crate::{
    Effort, Figures, Unit,
    cluster::{self, Cluster, NodeChild, Plan},
    table::{OURS, name},
};

const MEMORY: &str = "resident memory of an idle node";
const LOOK: Duration = Duration::from_secs(30);
/// Nobody says when a node has done what it does only after its start: it takes more of a core than later for about three seconds.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(5);

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let shards = cluster::shards(effort);
    let plan = Plan::replicated(3, shards);
    let few = Plan::replicated(3, NonZeroU16::MIN);
    let with_one = measure(few, effort).1;
    let (cpu, memory) = measure(plan, effort);
    let (count, who) = (f64::from(shards.get()), format!("{OURS}, {shards} shards"));
    // One row per kind of figure, with each node in each of the pieces of the time.
    cpu.into_iter().for_each(|percent| {
        figures.note(name("CPU of an idle node", &who), Unit::Percent, percent);
    });
    for (bytes, of_one) in memory.iter().zip(&with_one) {
        figures.note(name(MEMORY, &who), Unit::Bytes, *bytes);
        figures.note(name(MEMORY, "Playhouse, 1 shard"), Unit::Bytes, *of_one);
        let replica = ((bytes - of_one) / (count - 1.0)).max(0.0);
        figures.note(name("resident memory of a shard replica", OURS), Unit::Bytes, replica);
    }
}

/// CPU in percent of a core, and resident bytes, of each node in each of two pieces of the time.
fn measure(plan: Plan, effort: Effort) -> (Vec<f64>, Vec<f64>) {
    const PIECES: u32 = 2;
    let cluster = Cluster::apart(plan);
    std::thread::sleep(effort.lasting(QUIET_AFTER));
    let piece = effort.lasting(LOOK) / PIECES;
    let seconds = |cluster: &Cluster| -> Vec<f64> {
        cluster.children.iter().map(|node| node.child().cpu_seconds()).collect()
    };
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..PIECES {
        let before = seconds(&cluster);
        std::thread::sleep(piece);
        let used = seconds(&cluster).into_iter().zip(before).map(|(after, before)| after - before);
        cpu.extend(used.map(|used| used / piece.as_secs_f64() * 100.0));
        memory.extend(cluster.children.iter().map(NodeChild::child).map(crate::child::Child::resident_bytes));
    }
    cluster.stop();
    (cpu, memory)
}
