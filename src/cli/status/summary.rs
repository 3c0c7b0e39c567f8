//! The cluster on one screen, for people.

use crate::cli::{Failure, Output, cluster_view::StatusView};

/// Prints who is there, what is led and moves, what is wrong, and what to do next.
pub(super) fn print(status: &StatusView, output: &Output) -> Result<(), Failure> {
    let StatusView { cluster_id, revision, asked, .. } = status;
    output.line(&format!("\ncluster  {cluster_id}, revision {revision}, as {asked} tells"))?;
    output.line(&format!("members  {}", members(status)))?;
    output.line(&format!("system   {}", system(status)))?;
    output.line(&format!("shards   {}", shards(status)))?;
    output.line(&format!("moves    {}", moves(status)))?;
    for (node, recoveries) in &status.recoveries {
        recoveries.iter().try_for_each(|what| output.line(&format!("recovered {node}: {what}")))?;
    }
    if status.problems.is_empty() {
        return output.line("\nall is well");
    }
    output.line("")?;
    status.problems.iter().try_for_each(|problem| {
        output.line(&format!("wrong: {}", problem.what))?;
        output.line(&format!("  next: {}", problem.next))
    })
}

fn members(status: &StatusView) -> String {
    let states: Vec<_> = status.members.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let unheard = match status.unheard.as_slice() {
        [] => String::new(),
        names => format!("; not heard: {}", names.join(", ")),
    };
    format!("{}{unheard}", states.join(", "))
}

fn system(status: &StatusView) -> String {
    let leader = status.system.leader.as_deref().unwrap_or("nobody");
    format!("led by {leader}; voters: {}", status.system.voters.join(", "))
}

fn shards(status: &StatusView) -> String {
    let shards = &status.shards;
    let leaderless = match shards.without_leader.len() {
        0 => "all have a leader".to_owned(),
        count => format!("{count} without a leader"),
    };
    let stopped = match shards.without_quorum.len() {
        0 => String::new(),
        count => format!(", {count} without a live majority"),
    };
    let thin = match shards.thin.len() {
        0 => String::new(),
        count => format!(", {count} with too few replicas"),
    };
    format!("{}: {leaderless}{stopped}{thin}; replication factor {}", shards.count, status.replication_factor)
}

fn moves(status: &StatusView) -> String {
    let moves = &status.moves;
    if status.is_settled {
        return "none, none needed".to_owned();
    }
    format!("{} under way; replicas left to move: {}", moves.under_way, moves.leaving + moves.lost)
}
