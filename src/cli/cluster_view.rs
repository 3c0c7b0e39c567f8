//! What nodes tell operators, as far as it is shown to people. Programs get all of it.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Failure, operators::Desk};

/// The cluster in one screen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StatusView {
    pub(super) cluster_id: String,
    pub(super) revision: u64,
    pub(super) asked: String,
    pub(super) replication_factor: u8,
    pub(super) members: BTreeMap<String, usize>,
    pub(super) unheard: Vec<String>,
    pub(super) system: SystemView,
    pub(super) shards: ShardCounts,
    pub(super) moves: Moves,
    pub(super) is_settled: bool,
    pub(super) problems: Vec<Trouble>,
    /// What was forced upon volumes, by member.
    #[serde(default)]
    pub(super) recoveries: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SystemView {
    pub(super) leader: Option<String>,
    pub(super) voters: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ShardCounts {
    pub(super) count: usize,
    pub(super) without_leader: Vec<u32>,
    pub(super) without_quorum: Vec<u32>,
    /// With fewer replicas than they should have.
    pub(super) thin: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Moves {
    pub(super) under_way: usize,
    pub(super) leaving: usize,
    pub(super) lost: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) next: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodesView {
    pub(super) members: Vec<MemberView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct MemberView {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) intent: String,
    pub(super) for_ms: u64,
    pub(super) raft_id: String,
    pub(super) zone: String,
    pub(super) track: String,
    pub(super) release: String,
    pub(super) heard: bool,
    /// Known if it was heard.
    pub(super) leads: Option<usize>,
    pub(super) leads_system: Option<bool>,
    pub(super) replicas: usize,
    pub(super) arriving: usize,
    pub(super) departing: usize,
    pub(super) is_system_voter: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ShardsView {
    pub(super) shards: Vec<ShardView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ShardView {
    pub(super) shard: u32,
    pub(super) leader: Option<String>,
    pub(super) term: Option<u64>,
    pub(super) committed: Option<u64>,
    pub(super) preferred_leader: Option<String>,
    pub(super) has_quorum: bool,
    pub(super) replicas: Vec<ReplicaView>,
    #[serde(rename = "move")]
    pub(super) moving: Option<MoveView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReplicaView {
    pub(super) node: String,
    pub(super) votes: bool,
    /// Unknown without a leader.
    pub(super) lag: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct MoveView {
    pub(super) to: Vec<String>,
    pub(super) reason: String,
    pub(super) for_ms: u64,
}

impl NodesView {
    pub(super) fn member(&self, name: &str) -> Option<&MemberView> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// Asks for one of them.
pub(super) async fn view<T: DeserializeOwned>(desk: &Desk, name: &str) -> Result<T, Failure> {
    read(desk.look(name).await?)
}

/// Reads one of them.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        Failure::failed("the node answered something unexpected", &error)
            .next("use the CLI of the node's release")
    })
}
