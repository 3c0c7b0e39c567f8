//! `playhouse cast`

use serde_json::json;

use super::{
    Exit, Failure, Output,
    command::{Prepared, Target},
    server::Server,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Prepared { entity, command, options } = arguments.target.prepare(server)?;
    entity.cast_with(&command, &options).await?;
    output.print(&json!({"accepted": true}), |_| String::new())?;
    Ok(Exit::Ok)
}
