//! `playhouse leave` and `playhouse scale`: the cluster becomes smaller or larger, and we watch until it has.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    Exit, Failure, Output,
    cluster_view::{NodesView, view},
    duration,
    operators::{Desk, Operators},
    server::Server,
    settle::{Goal, settle},
};

#[derive(Debug, clap::Args)]
pub(super) struct Leave {
    /// Which nodes
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub(super) struct Scale {
    /// How many nodes: playhouse-0 to playhouse-(NUMBER - 1)
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=128))]
    to: u32,

    /// What stands before the number in the names of the nodes; needed if there are several such sets
    #[arg(long, value_name = "NAME")]
    set: Option<String>,

    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Even if fewer nodes stay than each shard needs replicas
    #[arg(long)]
    force: bool,

    /// How long to watch; what was begun goes on
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10m")]
    wait: Duration,

    #[command(flatten)]
    operators: Operators,
}

/// `playhouse leave`
pub(super) async fn leave(arguments: Leave, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Leave { names, how } = arguments;
    let desk = how.operators.desk(server)?;
    let _: Value = desk.act("leave", &json!({"names": names, "force": how.force})).await?;
    let goal = Goal { up: BTreeSet::new(), left: names.into_iter().collect() };
    settle(&goal, &desk, how.wait, output).await
}

/// `playhouse scale`
pub(super) async fn scale(arguments: Scale, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Scale { to, set, how } = arguments;
    let desk = how.operators.desk(server)?;
    let nodes: NodesView = view(&desk, "nodes").await?;
    let set = match set {
        Some(set) => set,
        None => only_set(&nodes)?,
    };
    let goal = goal(&nodes, &set, to);
    begin(&desk, &set, to, how.force).await?;
    settle(&goal, &desk, how.wait, output).await
}

async fn begin(desk: &Desk, set: &str, to: u32, force: bool) -> Result<(), Failure> {
    let _: Value = desk.act("scale", &json!({"set": set, "to": to, "force": force})).await?;
    Ok(())
}

/// The nodes below `to` are up in the end, those from there on have left.
fn goal(nodes: &NodesView, set: &str, to: u32) -> Goal {
    let is_above = |name: &&str| ordinal(name).is_some_and(|(other, number)| other == set && number >= to);
    let names = nodes.members.iter().map(|member| member.name.as_str());
    Goal {
        up: (0..to).map(|number| format!("{set}-{number}")).collect(),
        left: names.filter(is_above).map(str::to_owned).collect(),
    }
}

fn only_set(nodes: &NodesView) -> Result<String, Failure> {
    let sets: BTreeSet<_> =
        nodes.members.iter().filter_map(|member| ordinal(&member.name)).map(|(set, _)| set).collect();
    match sets.into_iter().collect::<Vec<_>>().as_slice() {
        [set] => Ok((*set).to_owned()),
        [] => Err(Failure::usage("no node is called like playhouse-0; use `playhouse leave` with names")),
        sets => Err(Failure::usage(format!(
            "there are several sets of nodes: say --set {}",
            sets.join(" or --set ")
        ))),
    }
}

/// `playhouse-2` is the 2 of `playhouse`.
fn ordinal(name: &str) -> Option<(&str, u32)> {
    let (set, number) = name.rsplit_once('-')?;
    Some((set, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> NodesView {
        let member = |name: &&str| {
            json!({
                "name": name, "state": "up", "intent": "stay", "for_ms": 1, "raft_id": "1", "zone": "", "track": "",
                "release": "", "heard": true, "leads": 0, "leads_system": false, "replicas": 0, "arriving": 0,
                "departing": 0, "is_system_voter": true,
            })
        };
        serde_json::from_value(json!({"members": names.iter().map(member).collect::<Vec<_>>()})).unwrap()
    }

    #[test]
    fn the_goal_names_who_stays_and_who_goes() {
        let nodes = nodes(&["n-0", "n-1", "n-2", "n-3", "m-7", "solo"]);
        let goal = goal(&nodes, "n", 3);
        assert_eq!(goal.up.into_iter().collect::<Vec<_>>(), ["n-0", "n-1", "n-2"]);
        assert_eq!(goal.left.into_iter().collect::<Vec<_>>(), ["n-3"]);
    }

    #[test]
    fn the_set_is_guessed_only_when_there_is_one() {
        assert_eq!(only_set(&nodes(&["n-0", "n-1", "solo"])).unwrap(), "n");
        assert!(only_set(&nodes(&["n-0", "m-0"])).is_err());
        assert!(only_set(&nodes(&["solo"])).is_err());
    }
}
