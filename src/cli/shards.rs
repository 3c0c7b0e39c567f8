//! `playhouse shards`

use std::time::Duration;

use serde_json::Value;

use super::{
    Exit, Failure, Output,
    cluster_view::{ShardView, ShardsView, read},
    duration,
    operators::Operators,
    output::Format,
    server::Server,
    table::Table,
};

/// A replica that lacks more entries than this is shown without being asked for.
const LAG_MAX: u64 = 1_000;

/// No log is as long as this. The shard was recovered: it goes on far behind its last entry, and whoever is not there yet gets
/// all of its state.
const SNAPSHOT_FROM: u64 = 1 << 31;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    operators: Operators,

    /// Those that are well, too (as JSON they always are)
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let shards: Value = arguments.operators.desk(server)?.look("shards").await?;
    match output.format {
        Format::Json => output.print(&shards, |_| String::new())?,
        Format::Text => print(&read(shards)?, arguments.all, output)?,
    }
    Ok(Exit::Ok)
}

fn print(view: &ShardsView, all: bool, output: &Output) -> Result<(), Failure> {
    let is_shown = |shard: &&ShardView| all || !is_well(shard);
    let shown: Vec<_> = view.shards.iter().filter(is_shown).collect();
    let led = view.shards.iter().filter(|shard| shard.leader.is_some()).count();
    let moving = view.shards.iter().filter(|shard| shard.moving.is_some()).count();
    output.line(&format!("{} shards: {led} have a leader, {moving} move", view.shards.len()))?;
    if shown.is_empty() {
        return output.line("all are well; --all shows them");
    }
    let mut table = Table::new(["SHARD", "LEADER", "TERM", "COMMITTED", "REPLICAS", "MOVE"]);
    for shard in shown {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        table.push([
            shard.shard.to_string(),
            leader(shard),
            number(shard.term),
            number(shard.committed),
            replicas(shard),
            moving_to(shard),
        ]);
    }
    output.table(&table)
}

/// It is led by whom it should be, nothing moves, and nobody is far behind.
fn is_well(shard: &ShardView) -> bool {
    let is_close = shard.replicas.iter().all(|replica| replica.lag.is_some_and(|lag| lag <= LAG_MAX));
    let is_led = shard.leader.is_some()
        && (shard.preferred_leader.is_none() || shard.leader == shard.preferred_leader);
    is_led && shard.has_quorum && shard.moving.is_none() && is_close
}

fn leader(shard: &ShardView) -> String {
    match (&shard.leader, &shard.preferred_leader) {
        (None, _) if !shard.has_quorum => "none: no majority".to_owned(),
        (None, _) => "none".to_owned(),
        (Some(leader), Some(preferred)) if leader != preferred => format!("{leader}, soon {preferred}"),
        (Some(leader), _) => leader.clone(),
    }
}

/// Each with how many entries it lacks: `a, b (-12), c (learns, -900), d (learns, snapshot)`.
fn replicas(shard: &ShardView) -> String {
    let replica = |replica: &super::cluster_view::ReplicaView| {
        let lag = lag(replica.lag);
        let notes: Vec<_> = (!replica.votes).then(|| "learns".to_owned()).into_iter().chain(lag).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("{}{notes}", replica.node)
    };
    shard.replicas.iter().map(replica).collect::<Vec<_>>().join(", ")
}

fn lag(lag: Option<u64>) -> Option<String> {
    match lag {
        Some(0) => None,
        Some(SNAPSHOT_FROM..) => Some("snapshot".to_owned()),
        Some(lag) => Some(format!("-{lag}")),
        None => Some("?".to_owned()),
    }
}

fn moving_to(shard: &ShardView) -> String {
    let Some(moving) = &shard.moving else { return String::new() };
    let since = duration::show(Duration::from_millis(moving.for_ms));
    format!("to {} for {since} ({})", moving.to.join(", "), moving.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was told to lack some four billion entries.
    #[test]
    fn a_replica_that_waits_for_the_state_of_a_recovered_shard_is_told_so() {
        assert_eq!(lag(Some((1 << 32) + 12)).unwrap(), "snapshot");
        assert_eq!(lag(Some(900)).unwrap(), "-900");
        assert_eq!((lag(Some(0)), lag(None)), (None, Some("?".to_owned())));
    }
}
