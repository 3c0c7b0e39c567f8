//! `playhouse config show`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit, Failure,
    node::{Sourced, resolve},
    output::{Format, Output},
    table::Table,
};
use crate::config::Profile;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every key, its value, and where the value came from
    Show {
        /// Show what `dev` would use
        #[arg(long)]
        dev: bool,
        #[command(flatten)]
        sourced: Sourced,
    },
}

pub(super) fn run(arguments: Arguments, output: &Output) -> Result<Exit, Failure> {
    let Command::Show { dev, sourced } = arguments.command;
    let profile = if dev { Profile::Dev } else { Profile::Run };
    let resolved = resolve(&sourced, profile, Vec::new())?;
    match output.format {
        Format::Text => {
            let mut table = Table::new(["KEY", "VALUE", "FROM"]);
            for setting in &resolved.settings {
                table.push([setting.key.to_owned(), setting.value.clone(), setting.origin.to_string()]);
            }
            output.table(&table)?;
        }
        Format::Json => {
            let row = |setting: &crate::config::Setting| json!({"key": setting.key, "value": setting.value, "from": setting.origin.to_string()});
            let settings: Vec<_> = resolved.settings.iter().map(row).collect();
            output.line(&json!({"settings": settings}).to_string())?;
        }
    }
    Ok(Exit::Ok)
}
