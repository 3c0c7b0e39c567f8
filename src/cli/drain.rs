//! `playhouse drain`: before a node restarts, without anybody feeling it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Exit, Failure, Output,
    cluster_view::{MemberView, NodesView, view},
    duration,
    operators::Operators,
    server::Server,
};

/// How long the leaderships may take to leave.
const WITHIN: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which node
    name: String,

    #[command(flatten)]
    operators: Operators,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Arguments { name, operators } = arguments;
    let desk = operators.desk(server)?;
    let start = Instant::now();
    let _: Value = desk.act("drain", &json!({"name": name})).await?;
    loop {
        let nodes: NodesView = view(&desk, "nodes").await?;
        let member = nodes.member(&name);
        let took = start.elapsed();
        if member.is_some_and(leads_nothing) {
            let report = json!({"name": name, "leads": 0, "took_ms": took.as_millis()});
            output.print(&report, |_| {
                format!("{name} leads nothing any more, after {}", duration::show(took))
            })?;
            return Ok(Exit::Ok);
        }
        if took > WITHIN {
            return Err(stuck(&name, member));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn leads_nothing(member: &MemberView) -> bool {
    member.leads == Some(0) && member.leads_system == Some(false)
}

fn stuck(name: &str, member: Option<&MemberView>) -> Failure {
    let what = match member.map(|member| (member.leads, member.leads_system)) {
        None => format!("{name} is not a member any more"),
        Some((Some(leads), system)) => {
            let system = if system == Some(true) { ", and the system group" } else { "" };
            format!("{name} still leads {leads} shards{system} after {} s", WITHIN.as_secs())
        }
        Some((None, _)) => format!("{name} has not told within {} s what it leads", WITHIN.as_secs()),
    };
    Failure::new(Exit::Failed, what).state(format!("{name} goes on draining")).next(format!(
        "`playhouse status` shows whether others can take over; `playhouse undrain {name}` takes it back"
    ))
}
