//! Short words for the stories.

use std::collections::BTreeSet;

use super::super::{bootstrap::Rules, *};
use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

pub const CLUSTER: ClusterId = ClusterId(7);
pub const SHARDS: u32 = 4;

/// A node with an empty volume.
pub fn node(name: &str, raft_id: u64, incarnation: u64) -> Node {
    Node {
        name: name.to_owned(),
        raft_id: RaftId(raft_id),
        incarnation: Incarnation(incarnation),
        previous: Incarnation(0),
        volume: Volume::New,
        shards: SHARDS,
        zone: "a".to_owned(),
        track: "stable".to_owned(),
        release: "1.0.0".to_owned(),
        protocol: (1, 1),
    }
}

/// The node starts once more; its last start was `previous`.
pub fn again(name: &str, raft_id: u64, previous: u64) -> Node {
    let (volume, previous) = (Volume::Of(CLUSTER), Incarnation(previous));
    Node { volume, previous, ..node(name, raft_id, previous.0 + 1) }
}

/// `n-0` founds, with a list of `listed` names.
pub fn founded(listed: usize) -> ClusterState {
    let names = (0..listed).map(|number| format!("n-{number}")).collect();
    let rules = Rules::new("n-0".to_owned(), names).unwrap();
    let founding = Founding { rules, cluster_id: CLUSTER, shards: SHARDS, replication_factor: 3 };
    ClusterState::found(founding, &node("n-0", 100, 1), 0).unwrap()
}

/// `n-0`, `n-1`, … with the volumes 100, 101, …, all up.
pub fn grown(count: u64) -> ClusterState {
    let mut state = founded(3.min(count as usize));
    for number in 1..count {
        do_(&mut state, join(node(&format!("n-{number}"), 100 + number, 1)));
        do_(&mut state, reached(100 + number, 1));
    }
    state
}

pub fn do_(state: &mut ClusterState, command: Command) {
    let next = state.decide(&command, 1).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
    let next = next.unwrap_or_else(|| panic!("{command:?} changes nothing"));
    assert_eq!(next.revision(), state.revision() + 1);
    *state = next;
}

pub fn changes_nothing(state: &ClusterState, command: Command) {
    assert_eq!(state.decide(&command, 99), Ok(None));
}

/// Every refusal says that nothing was changed.
pub fn refused(state: &ClusterState, command: Command) -> Refusal {
    let refusal = state.decide(&command, 1).expect_err("it is refused");
    assert!(refusal.to_string().contains("nothing was changed") || matches!(refusal, Refusal::NobodyStays));
    refusal
}

pub fn join(node: Node) -> Command {
    Command::Join { node, other_is_heard: false }
}

pub fn reached(raft_id: u64, incarnation: u64) -> Command {
    Command::Reached { raft_id: RaftId(raft_id), incarnation: Incarnation(incarnation) }
}

/// It fell silent in its first start.
pub fn down(raft_id: u64) -> Command {
    Command::Unreachable { raft_id: RaftId(raft_id), incarnation: Incarnation(1) }
}

pub fn scale(to: u32, force: bool) -> Command {
    Command::Scale { set: "n".to_owned(), to, force }
}

pub fn ids(voters: &[u64]) -> BTreeSet<RaftId> {
    voters.iter().copied().map(RaftId).collect()
}

pub fn moved(shard: u32, voters: &[u64], at: u64) -> Command {
    Command::Moved { which: Which::Shard(shard), voters: ids(voters), at }
}

pub fn start(shard: u32, voters: &[u64]) -> Command {
    let (which, voters, reason) = (Which::Shard(shard), ids(voters), Reason::Balance);
    Command::Plan(Plan { start: vec![Start { which, voters, reason }], ..Plan::default() })
}

/// The shard's leader says so.
pub fn holds(state: &mut ClusterState, shard: u32, voters: &[u64]) {
    let at = state.map()[shard as usize].replicas.confirmed_at + 10;
    do_(state, moved(shard, voters, at));
}

pub fn state_of(state: &ClusterState, raft_id: u64) -> MemberState {
    state.member(RaftId(raft_id)).unwrap().state
}
