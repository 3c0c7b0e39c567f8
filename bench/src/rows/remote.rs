//! What the rows about two linked nodes share.

use playhouse::router::EntityRef;

use crate::{
    Effort, Figures,
    cluster::{self, Cluster, Plan},
    sink::Sink,
};

/// How often a run is made again.
const ATTEMPTS_MAX: usize = 10;
/// Bytes of a body.
pub(super) const BODIES: [usize; 2] = [16, 1_024];

/// Two nodes that divide the leaderships; the first one is in this process. Both have a replica of each shard, which
/// `Volatile` entities do not use.
pub(super) fn linked(effort: Effort, is_encrypted: bool) -> Cluster {
    Cluster::with_own(Plan { is_encrypted, ..Plan::replicated(2, cluster::shards(effort)) })
}

/// Entities that the other process leads.
pub(super) fn targets(cluster: &Cluster, count: usize) -> Vec<EntityRef<Sink>> {
    let leader = cluster.children[0].raft_id();
    let keys = cluster.keys_led_by("sink", leader, count);
    keys.iter().map(|key| cluster.own().entity(key)).collect()
}

/// Whether the other process leads it.
pub(super) fn is_remote(cluster: &Cluster, target: &EntityRef<Sink>) -> bool {
    cluster.leader(target.id()) == Some(Some(cluster.children[0].raft_id()))
}

/// What `measure` finds while leaderships stay where they are: it finds nothing when one moved meanwhile, and is then made again.
pub(super) fn in_place<T>(cluster: &Cluster, figures: &mut Figures, measure: impl Fn() -> Option<T>) -> T {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(measured) = measure() {
            return measured;
        }
        figures.remark("a shard moved during a run, which was made again");
        cluster.wait_until_settled();
    }
    panic!("shards move in each of {ATTEMPTS_MAX} runs");
}

pub(super) fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}
