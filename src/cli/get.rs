//! `playhouse get`

use playhouse_client::EntityView;
use serde_json::Value;

use super::{Exit, Failure, Output, output::pretty, server::Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Kind of the entity, such as counter
    kind: String,

    /// Key of the entity, such as visits
    key: String,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let entity = server.client()?.entity(arguments.kind, arguments.key)?;
    let view: EntityView<Value> = entity.get().await?;
    output.print(&view, |view| {
        let node = view.node.as_deref().unwrap_or("?");
        let place = format!("revision {}, shard {}, node {node}", view.revision, view.shard);
        format!("{}/{}: {place}\n{}", view.kind, view.key, pretty(&view.state))
    })?;
    Ok(Exit::Ok)
}
