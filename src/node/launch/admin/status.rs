//! The cluster in one screen.

use std::collections::BTreeMap;

use playhouse_cluster::membership::ClusterState;
use serde_json::{Value, json};

use super::{nodes, problems, shards};
use crate::node::Overview;

/// One object.
pub(super) fn show(overview: &Overview) -> Value {
    let (state, progress) = (&overview.state, overview.state.progress());
    let mut states: BTreeMap<_, usize> = BTreeMap::new();
    for member in state.members().values() {
        *states.entry(nodes::state(member.state)).or_default() += 1;
    }
    let without_leader: Vec<_> =
        (0..state.shards()).filter(|number| shards::leader(overview, *number).is_none()).collect();
    let system_leader = overview.reports.values().find(|report| report.leads_system);
    json!({
        "cluster_id": state.cluster_id().to_string(),
        "revision": state.revision(),
        "asked": nodes::name(overview, overview.own),
        "hears_quorum": overview.hears_quorum,
        "replication_factor": state.replication_factor(),
        "members": states,
        "unheard": overview.unheard().map(|member| &member.name).collect::<Vec<_>>(),
        "system": {
            "leader": system_leader.map(|report| &report.name),
            "voters": nodes::names(overview, &state.system().voters),
        },
        "shards": {
            "count": state.shards(),
            "without_leader": without_leader,
            "without_quorum": progress.without_quorum,
            "thin": thin(state),
        },
        "moves": {"under_way": progress.moving, "leaving": progress.leaving, "lost": progress.lost},
        "recoveries": recoveries(overview),
        "is_settled": progress.is_settled() && thin(state).is_empty(),
        "problems": problems::find(overview, &without_leader),
    })
}

/// What was forced upon volumes of members, by name.
fn recoveries(overview: &Overview) -> BTreeMap<&str, &[String]> {
    let forced = overview.reports.values().filter(|report| !report.recoveries.is_empty());
    forced.map(|report| (report.name.as_str(), report.recoveries.as_slice())).collect()
}

/// Shards with fewer voters than they should have by now.
pub(super) fn thin(state: &ClusterState) -> Vec<u32> {
    let wanted = state.voters_wanted();
    let voters = state.map().iter().map(|shard| shard.replicas.voters.len());
    voters.zip(0..).filter(|(voters, _)| *voters < wanted).map(|(_, number)| number).collect()
}
