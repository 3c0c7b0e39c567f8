//! Each shard: where the configuration wants it, and what its leader says.

use playhouse_cluster::{
    consensus::RaftId,
    membership::{Reason, Shard},
};
use serde_json::{Value, json};

use super::nodes::name;
use crate::node::{NodeReport, Overview, ShardReport};

/// `{"shards": […]}`, by number.
pub(super) fn show(overview: &Overview) -> Value {
    let shards = overview.state.map().iter().zip(0..);
    json!({"shards": shards.map(|(shard, number)| show_shard(overview, number, shard)).collect::<Vec<_>>()})
}

/// Who leads a shard, by what the leaders say: of several the one of the latest term, the others do not know yet.
pub(super) fn leader(overview: &Overview, number: u32) -> Option<(&NodeReport, &ShardReport)> {
    let nodes = overview.reports.values();
    let leaders =
        nodes.filter_map(|node| Some((node, node.shards.iter().find(|shard| shard.shard == number)?)));
    leaders.max_by_key(|(_, shard)| shard.term)
}

fn show_shard(overview: &Overview, number: u32, shard: &Shard) -> Value {
    let leader = leader(overview, number);
    let replica = |id: &RaftId| show_replica(overview, *id, true, leader);
    let voters = shard.replicas.voters.iter().map(replica);
    let learners = leader.into_iter().flat_map(|(_, report)| &report.followers);
    let learners = learners.filter(|follower| !shard.replicas.voters.contains(&follower.raft_id));
    let learners = learners.map(|follower| show_replica(overview, follower.raft_id, follower.votes, leader));
    let wanted = shard.replicas.wanted.as_ref();
    json!({
        "shard": number,
        "leader": leader.map(|(node, _)| &node.name),
        "term": leader.map(|(_, report)| report.term),
        "committed": leader.map(|(_, report)| report.committed),
        "preferred_leader": shard.preferred_leader.map(|id| name(overview, id)),
        "has_quorum": overview.state.has_quorum(&shard.replicas.voters),
        "replicas": voters.chain(learners).collect::<Vec<_>>(),
        "move": wanted.map(|wanted| json!({
            "to": wanted.voters.iter().map(|id| name(overview, *id)).collect::<Vec<_>>(),
            "reason": reason(wanted.reason),
            "for_ms": overview.now_ms.saturating_sub(wanted.since_ms),
        })),
    })
}

fn show_replica(
    overview: &Overview,
    id: RaftId,
    votes: bool,
    leader: Option<(&NodeReport, &ShardReport)>,
) -> Value {
    let leads = leader.is_some_and(|(node, _)| node.raft_id == id);
    let follower =
        leader.and_then(|(_, report)| report.followers.iter().find(|follower| follower.raft_id == id));
    let lag = if leads { Some(0) } else { follower.map(|follower| follower.lag) };
    json!({
        "node": name(overview, id),
        "votes": votes,
        "lag": lag,
        "heard_ms": follower.and_then(|follower| follower.heard_ms),
    })
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Repair => "repair",
        Reason::Leave => "leave",
        Reason::Grow => "grow",
        Reason::Shrink => "shrink",
        Reason::Balance => "balance",
    }
}
