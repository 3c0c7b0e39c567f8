//! Each shard: where the configuration wants it, and what its leader says.

use playhouse_cluster::{
    consensus::RaftId,
    membership::{Reason, Shard},
};
use serde_json::{Value, json};

use super::nodes::{name, names};
use crate::node::{FollowerReport, NodeReport, Overview, ShardReport};

/// `{"shards": […]}`, by number.
pub(super) fn show(overview: &Overview) -> Value {
    let shards = overview.state.map().iter().zip(0..);
    json!({"shards": shards.map(|(shard, number)| show_shard(overview, number, shard)).collect::<Vec<_>>()})
}

/// How long ago voters may have answered their leader. A leader that was cut off does not know yet that it leads no more.
const HEARD_WITHIN_MS: u64 = 5_000;

/// Who leads a shard, by what the leaders say: of several the one of the latest term, the others do not know yet.
pub(super) fn leader(overview: &Overview, number: u32) -> Option<(&NodeReport, &ShardReport)> {
    let led = |node: &'_ NodeReport| node.shards.iter().position(|shard| shard.shard == number);
    let leaders = overview.reports.values().filter_map(|node| Some((node, &node.shards[led(node)?])));
    leaders.filter(|(_, shard)| hears_majority(shard)).max_by_key(|(_, shard)| shard.term)
}

fn hears_majority(shard: &ShardReport) -> bool {
    let voters = shard.followers.iter().filter(|follower| follower.votes);
    let is_heard = |follower: &&FollowerReport| follower.heard_ms.is_some_and(|ms| ms <= HEARD_WITHIN_MS);
    let (heard, others) = (voters.clone().filter(is_heard).count(), voters.count());
    (heard + 1) * 2 > others + 1
}

fn show_shard(overview: &Overview, number: u32, shard: &Shard) -> Value {
    let leader = leader(overview, number);
    let replica = |id: &RaftId| show_replica(overview, *id, true, leader);
    let mut voters: Vec<_> = shard.replicas.voters.iter().collect();
    voters.sort_by_key(|id| name(overview, **id));
    let voters = voters.into_iter().map(replica);
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
            "to": names(overview, &wanted.voters),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_nobody_answers_is_none() {
        let follower = |votes, heard_ms| FollowerReport { raft_id: RaftId(1), votes, lag: 0, heard_ms };
        let hears = |followers: &[FollowerReport]| {
            let followers = followers.to_vec();
            hears_majority(&ShardReport { shard: 0, term: 1, last_log: 1, committed: 1, followers })
        };
        let (fresh, stale, never) =
            (follower(true, Some(9)), follower(true, Some(9_000)), follower(true, None));
        assert!(hears(&[]));
        assert!(hears(&[fresh.clone(), stale.clone()]));
        assert!(!hears(&[never.clone(), stale.clone()]));
        assert!(!hears(&[stale, never, follower(false, Some(9))]), "a learner is no voter");
    }
}
