//! What the rows about two linked nodes share.

use playhouse::router::EntityRef;

use crate::{
    Effort,
    cluster::{self, Cluster, Plan},
    sink::Sink,
};

/// Bytes of a body.
pub(super) const BODIES: [usize; 2] = [16, 1_024];

/// Two nodes that divide the leaderships; the first one is in this process. Both have a replica of each shard, which
/// `Volatile` entities do not use.
pub(super) fn linked(effort: Effort, is_encrypted: bool) -> Cluster {
    let shards = cluster::shards(effort);
    Cluster::with_own(Plan { nodes: 2, replication_factor: 3, shards, is_encrypted, engine: "fjall" })
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

pub(super) fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}
