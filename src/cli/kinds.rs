//! `playhouse kinds`

use playhouse_client::KindView;
use serde_json::json;

use super::{Exit, Failure, Output, output::Format, server::Server, table::Table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let kinds = server.client()?.kinds().await?;
    match output.format {
        Format::Json => output.print(&json!({"kinds": kinds}), |_| String::new())?,
        Format::Text => output.table(&table(&kinds))?,
    }
    Ok(Exit::Ok)
}

fn table(kinds: &[KindView]) -> Table<4> {
    let mut table = Table::new(["KIND", "STATE", "FOR EXAMPLE", "SUMMARY"]);
    for kind in kinds {
        let state = if kind.durable { "durable" } else { "volatile" };
        let example = kind.examples.first().map(ToString::to_string).unwrap_or_default();
        table.push([kind.kind.clone(), state.to_owned(), example, kind.summary.clone()]);
    }
    table
}
