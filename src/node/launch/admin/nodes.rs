//! Each member: what the configuration says, and what it says itself.

use playhouse_cluster::{
    consensus::RaftId,
    membership::{Intent, MemberProgress, MemberState},
};
use serde_json::{Value, json};

use crate::node::Overview;

/// `{"members": […]}`, by name.
pub(super) fn show(overview: &Overview) -> Value {
    let mut members: Vec<_> = overview.state.progress().members;
    members.sort_by(|one, other| one.name.cmp(&other.name));
    json!({"members": members.iter().map(|member| show_member(overview, member)).collect::<Vec<_>>()})
}

fn show_member(overview: &Overview, progress: &MemberProgress) -> Value {
    let member = overview.state.member(progress.raft_id).expect("progress is about members");
    let report = overview.reports.get(&member.raft_id);
    let suspects = report.map(|report| names(overview, &report.suspects));
    json!({
        "name": member.name,
        "state": state(member.state),
        "intent": intent(member.intent),
        "for_ms": overview.now_ms.saturating_sub(member.since_ms),
        "raft_id": hex(member.raft_id),
        "incarnation": member.incarnation.0,
        "zone": member.zone,
        "track": member.track,
        "release": member.release,
        "heard": report.is_some(),
        "leads": report.map(|report| report.shards.len()),
        "leads_system": report.map(|report| report.leads_system),
        "preferred_leader": progress.preferred_leader,
        "replicas": progress.replicas,
        "arriving": progress.arriving,
        "departing": progress.departing,
        "is_system_voter": progress.is_system_voter,
        "suspects": suspects,
    })
}

/// The name of a member; what is none any more has only its id.
pub(super) fn name(overview: &Overview, raft_id: RaftId) -> String {
    let member = overview.state.member(raft_id).map(|member| member.name.clone());
    member.unwrap_or_else(|| hex(raft_id))
}

/// Their names, in order.
pub(super) fn names<'a>(overview: &Overview, ids: impl IntoIterator<Item = &'a RaftId>) -> Vec<String> {
    let mut names: Vec<_> = ids.into_iter().map(|id| name(overview, *id)).collect();
    names.sort();
    names
}

pub(super) fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Joining => "joining",
        MemberState::Up => "up",
        MemberState::Draining => "draining",
        MemberState::Down => "down",
        MemberState::Left => "left",
    }
}

fn intent(intent: Intent) -> &'static str {
    match intent {
        Intent::Stay => "stay",
        Intent::Replace => "replace",
        Intent::Leave => "leave",
    }
}

fn hex(raft_id: RaftId) -> String {
    format!("{:016x}", raft_id.0)
}
