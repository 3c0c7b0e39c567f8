//! `playhouse status`: does every server answer, is every node ready, and how is the cluster?

mod summary;

use std::time::Duration;

use playhouse_client::{Address, Client, Config, Health, Ops, Probe, ReadError};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Exit, Failure, Output,
    cluster_view::{StatusView, read},
    duration,
    operators::Operators,
    output::Format,
    server::Server,
    table::Table,
};
use crate::causes::chain;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    operators: Operators,
}

/// How long a gateway is tried before it counts as one that does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What is known of one gateway.
#[derive(Debug, Serialize)]
struct Gateway {
    server: String,
    answers: bool,
    /// How long it took to answer.
    milliseconds: Option<f64>,
    kinds: Option<usize>,
    error: Option<String>,
}

/// What is known of one node by its ops port.
#[derive(Debug, Serialize)]
struct Node {
    ops: String,
    ready: bool,
    /// What `/readyz` said, or why it could not be asked.
    detail: String,
    health: Option<Health>,
}

#[derive(Debug, Default, Serialize)]
struct Status {
    gateways: Vec<Gateway>,
    nodes: Vec<Node>,
    /// What a node says about the whole cluster.
    cluster: Option<Value>,
    /// Why nothing is known of it.
    cluster_error: Option<String>,
    /// It is told to admins only.
    #[serde(skip)]
    is_for_admins: bool,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let config = server.config()?;
    let mut status = Status::default();
    for address in server.addresses() {
        status.gateways.push(gateway(address, &config).await?);
    }
    for address in arguments.operators.addresses(server) {
        status.nodes.push(node(address, &config).await?);
    }
    match arguments.operators.desk(server)?.try_look("status").await? {
        Ok(cluster) => status.cluster = Some(cluster),
        Err(ReadError::Rejected(problem)) if problem.code == "unauthorized" => {
            status.is_for_admins = true;
            status.cluster_error =
                Some("the cluster is told to admins only: give --admin-token-file".to_owned());
        }
        Err(error) => {
            status.cluster_error = Some(format!("nothing is known of the cluster: {}", chain(&error)))
        }
    }
    let cluster = status.cluster.clone().map(read::<StatusView>).transpose()?;
    match output.format {
        Format::Json => output.print(&status, |_| String::new())?,
        Format::Text => {
            print(&status, output)?;
            match &cluster {
                Some(cluster) => summary::print(cluster, output)?,
                None => status.cluster_error.iter().for_each(|error| output.note(error)),
            }
        }
    }
    Ok(exit(&status, cluster.as_ref()))
}

fn exit(status: &Status, cluster: Option<&StatusView>) -> Exit {
    // Silence is not health; but who has no token asks for servers and nodes only.
    let is_well = cluster.map_or(status.is_for_admins, |cluster| cluster.problems.is_empty());
    let answering = status.gateways.iter().filter(|gateway| gateway.answers).count();
    if answering == 0 {
        Exit::Unavailable
    } else if is_well && answering == status.gateways.len() && status.nodes.iter().all(|node| node.ready) {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

async fn gateway(address: &Address, config: &Config) -> Result<Gateway, Failure> {
    let timeout = config.timeout.min(ANSWERS_WITHIN);
    let client = Client::new(Config { addresses: vec![address.clone()], timeout, ..config.clone() })?;
    let start = Instant::now();
    let kinds = client.kinds().await;
    let took = start.elapsed();
    let server = address.to_string();
    Ok(match kinds {
        Ok(kinds) => {
            let milliseconds = Some(took.as_secs_f64() * 1e3);
            Gateway { server, answers: true, milliseconds, kinds: Some(kinds.len()), error: None }
        }
        Err(error) => {
            let error = Some(chain(&error));
            Gateway { server, answers: false, milliseconds: None, kinds: None, error }
        }
    })
}

async fn node(address: Address, config: &Config) -> Result<Node, Failure> {
    let ops = Ops::new(address, config.clone())?;
    let address = ops.address().to_string();
    let (ready, detail) = match ops.probe("readyz").await {
        Ok(Probe { ok, detail }) => (ok, detail.lines().map(str::trim).collect::<Vec<_>>().join("; ")),
        Err(error) => (false, chain(&error)),
    };
    Ok(Node { ops: address, ready, detail, health: ops.health().await.ok() })
}

fn print(status: &Status, output: &Output) -> Result<(), Failure> {
    let mut table = Table::new(["SERVER", "ANSWERS", "KINDS", "DETAIL"]);
    for gateway in &status.gateways {
        let took = gateway.milliseconds.map(|ms| duration::show(Duration::from_secs_f64(ms / 1e3)));
        let kinds = gateway.kinds.map(|kinds| kinds.to_string());
        table.push([
            gateway.server.clone(),
            took.map_or("no".to_owned(), |took| format!("in {took}")),
            kinds.unwrap_or_default(),
            gateway.error.clone().unwrap_or_default(),
        ]);
    }
    output.table(&table)?;
    output.line("")?;
    output.table(&nodes(&status.nodes))
}

fn nodes(nodes: &[Node]) -> Table<6> {
    let mut table = Table::new(["OPS", "READY", "NODE", "RELEASE", "UP", "DETAIL"]);
    for node in nodes {
        let health = node.health.as_ref();
        let text = |pick: fn(&Health) -> String| health.map(pick).unwrap_or_default();
        let up = |health: &Health| {
            duration::show(Duration::try_from_secs_f64(health.uptime_seconds).unwrap_or_default())
        };
        table.push([
            node.ops.clone(),
            if node.ready { "yes" } else { "no" }.to_owned(),
            text(|health| health.node.clone()),
            text(|health| health.version.clone()),
            text(up),
            if node.ready { String::new() } else { failed(&node.detail) },
        ]);
    }
    table
}

/// Of what a probe says, what failed.
fn failed(detail: &str) -> String {
    let failed: Vec<_> = detail.split("; ").filter_map(|line| line.strip_prefix("failed  ")).collect();
    if failed.is_empty() { detail.to_owned() } else { failed.join("; ") }
}
