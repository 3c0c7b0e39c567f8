//! `playhouse status`: does every server answer, and is every node ready?

use std::time::Duration;

use playhouse_client::{Address, Client, Config, Health, Ops, Probe};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    Exit, Failure, Output, duration, failure::chain, health::OPS_PORT, output::Format, server::Server,
    table::Table,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address of a node's ops port; unless given, the host of each --server at port 9090
    #[arg(long, env = "PLAYHOUSE_OPS", value_name = "URL", value_delimiter = ',')]
    ops: Vec<Address>,
}

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

#[derive(Debug, Serialize)]
struct Status {
    gateways: Vec<Gateway>,
    nodes: Vec<Node>,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let config = server.config()?;
    let mut status = Status { gateways: Vec::new(), nodes: Vec::new() };
    for address in server.addresses() {
        status.gateways.push(gateway(address, &config).await?);
    }
    for address in ops_addresses(arguments.ops, server) {
        status.nodes.push(node(address, &config).await?);
    }
    match output.format {
        Format::Json => output.print(&status, |_| String::new())?,
        Format::Text => print(&status, output)?,
    }
    Ok(exit(&status))
}

fn ops_addresses(given: Vec<Address>, server: &Server) -> Vec<Address> {
    if !given.is_empty() {
        return given;
    }
    let mut addresses: Vec<_> =
        server.addresses().iter().map(|address| address.with_port(OPS_PORT)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

fn exit(status: &Status) -> Exit {
    let answering = status.gateways.iter().filter(|gateway| gateway.answers).count();
    if answering == 0 {
        Exit::Unavailable
    } else if answering == status.gateways.len() && status.nodes.iter().all(|node| node.ready) {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

async fn gateway(address: &Address, config: &Config) -> Result<Gateway, Failure> {
    let client = Client::new(Config { addresses: vec![address.clone()], ..config.clone() })?;
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
            node.detail.clone(),
        ]);
    }
    table
}
