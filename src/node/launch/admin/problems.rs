//! What is wrong with a cluster, in words, the worst first, each with what to do next.

use playhouse_cluster::membership::{Intent, Member, MemberState};
use serde::Serialize;

use super::{nodes, status};
use crate::node::Overview;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    what: String,
    next: String,
}

/// `without_leader`: shards that nobody says it leads.
pub(super) fn find(overview: &Overview, without_leader: &[u32]) -> Vec<Trouble> {
    let whole = [minority(overview), beginning(overview), stopped_shards(overview)];
    let members = overview.state.members().values().filter_map(|member| member_trouble(overview, member));
    let shards = [leaderless(overview, without_leader), thin(overview)];
    whole.into_iter().flatten().chain(members).chain(shards.into_iter().flatten()).collect()
}

fn trouble(what: String, next: impl Into<String>) -> Option<Trouble> {
    Some(Trouble { what, next: next.into() })
}

fn minority(overview: &Overview) -> Option<Trouble> {
    if overview.hears_quorum {
        return None;
    }
    let name = nodes::name(overview, overview.own);
    trouble(
        format!(
            "{name} hears no majority of the cluster: it acknowledges nothing, and what is told here may be old"
        ),
        "start the members that are down, or mend the network between them; ask another node, too",
    )
}

fn beginning(overview: &Overview) -> Option<Trouble> {
    if !overview.state.is_beginning() {
        return None;
    }
    trouble(
        "the cluster has just been founded and waits for a majority of bootstrap.members".to_owned(),
        "start the other members",
    )
}

fn stopped_shards(overview: &Overview) -> Option<Trouble> {
    let shards = overview.state.progress().without_quorum;
    if shards.is_empty() {
        return None;
    }
    let down = overview.state.members().values().filter(|member| member.state == MemberState::Down);
    let down: Vec<_> = down.map(|member| member.name.as_str()).collect();
    trouble(
        format!("{} have no live majority of their replicas and serve nothing", numbers(&shards)),
        match down.as_slice() {
            [] => "their volumes are gone; start those that still exist, or go on with what is left: recover-shard --shard"
                .to_owned(),
            names => format!("start {}", names.join(", ")),
        },
    )
}

fn leaderless(overview: &Overview, without_leader: &[u32]) -> Option<Trouble> {
    let stopped = overview.state.progress().without_quorum;
    let electing: Vec<_> = without_leader.iter().copied().filter(|shard| !stopped.contains(shard)).collect();
    if electing.is_empty() {
        return None;
    }
    trouble(
        format!("nobody says that it leads {}", numbers(&electing)),
        "an election takes a few seconds; if it lasts, look at the logs of the nodes that hold their replicas",
    )
}

fn thin(overview: &Overview) -> Option<Trouble> {
    let thin = status::thin(&overview.state);
    if thin.is_empty() {
        return None;
    }
    trouble(
        format!("{} have fewer replicas than they should", numbers(&thin)),
        "they are being made; wait until `playhouse status` names none before you stop a node",
    )
}

fn member_trouble(overview: &Overview, member: &Member) -> Option<Trouble> {
    let name = &member.name;
    let for_s = overview.now_ms.saturating_sub(member.since_ms) / 1000;
    let is_heard = overview.reports.contains_key(&member.raft_id);
    match member.state {
        MemberState::Down
            if overview.state.holds_replicas(member.raft_id) && member.intent == Intent::Stay =>
        {
            trouble(
                format!("{name} has been down for {for_s} s"),
                format!(
                    "start it again; if it cannot return, `playhouse replace {name}` makes its replicas anew elsewhere at once"
                ),
            )
        }
        MemberState::Down if overview.state.holds_replicas(member.raft_id) => {
            let live = overview.state.members().values().filter(|member| member.is_available()).count();
            trouble(
                format!("{name} is down, its replicas are to be made anew elsewhere"),
                elsewhere(name, live, overview.state.voters_wanted()),
            )
        }
        MemberState::Down => trouble(
            format!("{name} is down and holds nothing"),
            format!("start it again, or `playhouse forget {name}`"),
        ),
        MemberState::Left => {
            trouble(format!("{name} has left"), format!("stop it, then `playhouse forget {name}`"))
        }
        _ if !is_heard => trouble(
            format!("{name} does not answer"),
            "it counts as down within seconds if nobody hears it; look whether it runs",
        ),
        MemberState::Draining => trouble(
            format!("{name} has been draining for {for_s} s"),
            format!("restart it, or `playhouse undrain {name}`"),
        ),
        MemberState::Joining => trouble(
            format!("{name} has been catching up for {for_s} s"),
            "wait; if it lasts, look at its log",
        ),
        MemberState::Up => None,
    }
}

/// What makes the replicas of a member that is replaced, while `live` others could take them and a shard needs `wanted`.
fn elsewhere(name: &str, live: usize, wanted: usize) -> String {
    if live >= wanted {
        return "wait".to_owned();
    }
    format!(
        "{live} members can take them and a shard needs {wanted}: start {name} with an empty volume or with its own, or add a node"
    )
}

/// How many numbers are named.
const NAMED_MAX: usize = 8;

fn numbers(shards: &[u32]) -> String {
    let named: Vec<_> = shards.iter().take(NAMED_MAX).map(u32::to_string).collect();
    let more = if shards.len() > NAMED_MAX { ", …" } else { "" };
    let noun = if shards.len() == 1 { "shard" } else { "shards" };
    format!("{} {noun} ({}{more})", shards.len(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_nobody_can_take_is_not_waited_for() {
        assert_eq!(elsewhere("playhouse-2", 3, 3), "wait");
        assert!(elsewhere("playhouse-2", 2, 3).contains("start playhouse-2 with an empty volume"));
    }

    #[test]
    fn many_shards_are_counted_and_some_named() {
        assert_eq!(numbers(&[3]), "1 shard (3)");
        let many: Vec<_> = (0..9).collect();
        assert_eq!(numbers(&many), "9 shards (0, 1, 2, 3, 4, 5, 6, 7, …)");
    }
}
