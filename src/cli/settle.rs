//! Watches the cluster until it has become what it should.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use super::{
    Exit, Failure, Output,
    cluster_view::{NodesView, StatusView, view},
    duration,
    operators::Desk,
    output::Format,
};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often in a row nothing must move: the next moves are planned only after the last ones are done.
const QUIET_LOOKS: u32 = 4;

/// What the cluster should become.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    /// These nodes are up.
    pub(super) up: BTreeSet<String>,
    /// These nodes have left.
    pub(super) left: BTreeSet<String>,
}

impl Goal {
    /// Nodes that are not up yet.
    fn missing<'a>(&'a self, nodes: &NodesView) -> Vec<&'a str> {
        let is_up = |name: &str| nodes.member(name).is_some_and(|member| member.state == "up");
        self.up.iter().map(String::as_str).filter(|name| !is_up(name)).collect()
    }

    /// Nodes that have not left yet.
    fn staying<'a>(&'a self, nodes: &NodesView) -> Vec<&'a str> {
        let has_left = |name: &str| nodes.member(name).is_none_or(|member| member.state == "left");
        self.left.iter().map(String::as_str).filter(|name| !has_left(name)).collect()
    }
}

/// Prints how far it is whenever that changes; returns when everything is where it should be.
pub(super) async fn settle(
    goal: &Goal,
    desk: &Desk,
    wait: Duration,
    output: &Output,
) -> Result<Exit, Failure> {
    let start = Instant::now();
    let (mut said, mut quiet) = (String::new(), 0);
    loop {
        let (status, nodes): (StatusView, NodesView) =
            (view(desk, "status").await?, view(desk, "nodes").await?);
        let (missing, staying) = (goal.missing(&nodes), goal.staying(&nodes));
        let is_there = status.is_settled && missing.is_empty() && staying.is_empty();
        quiet = if is_there { quiet + 1 } else { 0 };
        if quiet >= QUIET_LOOKS {
            return settled(goal, start.elapsed(), output);
        }
        let says = progress(&status, &missing, &staying);
        if !is_there && said != says {
            output.note(&says);
            said = says;
        }
        if start.elapsed() > wait {
            return Err(Failure::new(
                Exit::Unavailable,
                format!("not settled after {}: {said}", duration::show(wait)),
            )
            .state("it goes on")
            .next("`playhouse status` shows what it waits for"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn progress(status: &StatusView, missing: &[&str], staying: &[&str]) -> String {
    let moves = &status.moves;
    let mut says =
        format!("{} replicas left to move, {} on the way", moves.leaving + moves.lost, moves.under_way);
    if !staying.is_empty() {
        says.push_str(&format!("; leaving: {}", staying.join(", ")));
    }
    if !missing.is_empty() {
        says.push_str(&format!("; waiting for {} to be up: start what does not run", missing.join(", ")));
    }
    says
}

fn settled(goal: &Goal, took: Duration, output: &Output) -> Result<Exit, Failure> {
    let left: Vec<_> = goal.left.iter().map(String::as_str).collect();
    let report = json!({"settled": true, "took_ms": took.as_millis(), "left": left});
    output.print(&report, |_| format!("settled after {}", duration::show(took)))?;
    if output.format == Format::Text && !left.is_empty() {
        output.line(&format!("stop {}, then `playhouse forget` each", left.join(", ")))?;
    }
    Ok(Exit::Ok)
}
