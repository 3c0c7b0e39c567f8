//! `playhouse health`

use playhouse_client::{Address, Health, Ops};

use super::{Exit, Failure, Output, duration, output::Format, server::Server, table::Table};

/// Where a node's ops port is, unless said otherwise.
pub(super) const OPS_PORT: u16 = 9090;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address of the node's ops port, of several the first; the host of the first --server at port 9090 unless given
    #[arg(long, env = "PLAYHOUSE_OPS", value_name = "URL", value_delimiter = ',')]
    ops: Vec<Address>,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let beside = || server.addresses().first().map(|first| first.with_port(OPS_PORT));
    let ops = arguments.ops.into_iter().next().or_else(beside);
    let ops = ops.ok_or_else(|| Failure::usage("neither --ops nor --server is given"))?;
    let health = Ops::new(ops, server.config()?)?.health().await?;
    match output.format {
        Format::Json => output.print(&health, |_| String::new())?,
        Format::Text => print(&health, output)?,
    }
    Ok(if health.healthy { Exit::Ok } else { Exit::Failed })
}

fn print(health: &Health, output: &Output) -> Result<(), Failure> {
    let uptime =
        duration::show(std::time::Duration::try_from_secs_f64(health.uptime_seconds).unwrap_or_default());
    let Health { node, status, version, .. } = health;
    output.line(&format!("{node}: {status}, release {version}, up {uptime}"))?;
    let mut table = Table::new(["CHECK", "STATUS", "TOOK", "DETAIL"]);
    for check in &health.checks {
        let took = format!("{:.1} ms", check.duration_ms);
        table.push([
            check.name.clone(),
            check.status.clone(),
            took,
            check.detail.clone().unwrap_or_default(),
        ]);
    }
    if health.checks.is_empty() { Ok(()) } else { output.table(&table) }
}
