//! `playhouse nodes`

use std::time::Duration;

use serde_json::Value;

use super::{
    Exit, Failure, Output,
    cluster_view::{MemberView, NodesView, read},
    duration,
    operators::Operators,
    output::Format,
    server::Server,
    table::Table,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    operators: Operators,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let nodes: Value = arguments.operators.desk(server)?.look("nodes").await?;
    match output.format {
        Format::Json => output.print(&nodes, |_| String::new())?,
        Format::Text => print(&read(nodes)?, output)?,
    }
    Ok(Exit::Ok)
}

fn print(nodes: &NodesView, output: &Output) -> Result<(), Failure> {
    let mut table = Table::new([
        "NODE", "STATE", "SINCE", "HEARD", "LEADS", "REPLICAS", "SYSTEM", "ZONE", "TRACK", "RELEASE",
        "RAFT ID",
    ]);
    for member in &nodes.members {
        table.push([
            member.name.clone(),
            state(member),
            duration::show(Duration::from_millis(member.for_ms)),
            if member.heard { "yes" } else { "no" }.to_owned(),
            member.leads.map_or("?".to_owned(), |leads| leads.to_string()),
            replicas(member),
            system(member).to_owned(),
            member.zone.clone(),
            member.track.clone(),
            member.release.clone(),
            member.raft_id.clone(),
        ]);
    }
    output.table(&table)
}

fn state(member: &MemberView) -> String {
    match member.intent.as_str() {
        "leave" if member.state != "left" => format!("{}, leaves", member.state),
        "replace" => format!("{}, is replaced", member.state),
        _ => member.state.clone(),
    }
}

/// `16`, or `16 +2 -1`: two are on the way to it, one is on the way from it.
fn replicas(member: &MemberView) -> String {
    let moving = |sign, count| if count == 0 { String::new() } else { format!(" {sign}{count}") };
    format!("{}{}{}", member.replicas, moving('+', member.arriving), moving('-', member.departing))
}

fn system(member: &MemberView) -> &'static str {
    match (member.leads_system, member.is_system_voter) {
        (Some(true), _) => "leads",
        (_, true) => "votes",
        _ => "follows",
    }
}
