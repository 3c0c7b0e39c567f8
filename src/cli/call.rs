//! `playhouse call`

use serde_json::{Value, json};

use super::{
    Exit, Failure, Output,
    command::{Prepared, Target},
    output::pretty,
    server::Server,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Prepared { entity, command, options } = arguments.target.prepare(server)?;
    let replied = entity.call_with::<_, Value>(&command, &options).await?;
    let answer = json!({
        "reply": replied.reply,
        "revision": replied.revision,
        "request_id": replied.request_id,
    });
    output.print(&answer, |answer| pretty(&answer["reply"]))?;
    Ok(Exit::Ok)
}
