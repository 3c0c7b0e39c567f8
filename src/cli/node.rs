//! `playhouse run`, and `playhouse dev` with one node: this process becomes a node.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Exit, Failure};
use crate::{
    config::{self, Config, ConfigFile, Profile, Resolved, Sources},
    node::{self, Builder, Launch},
};

/// Where settings come from.
#[derive(Debug, Args)]
pub(super) struct Sourced {
    /// A TOML file with settings (docs/config.md)
    #[arg(long, value_name = "FILE", env = "PLAYHOUSE_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, such as store.engine=sled; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Sourced {
    /// Reads all settings, for a command about the volume of a node.
    pub(super) fn resolve(&self, profile: Profile, data_dir: Option<PathBuf>) -> Result<Resolved, Failure> {
        let data_dir = data_dir.map(|dir| ("node.data_dir".to_owned(), dir.display().to_string()));
        resolve(self, profile, data_dir.into_iter().collect())
    }
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    sourced: Sourced,
    /// Where identity and state are kept (node.data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where clients connect (gateway.listen)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where probes and metrics are served (ops.listen)
    #[arg(long, value_name = "ADDRESS")]
    ops_listen: Option<SocketAddr>,
    /// Write the addresses to this file, as JSON, once the node is ready
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
}

impl Arguments {
    /// Reads all settings.
    pub(super) fn resolve(&self, profile: Profile) -> Result<Resolved, Failure> {
        resolve(&self.sourced, profile, self.flags())
    }

    /// Where to write the addresses.
    pub(super) fn address_file(&self) -> Option<&Path> {
        self.address_file.as_deref()
    }

    fn flags(&self) -> Vec<(String, String)> {
        let data_dir = self.data_dir.as_ref().map(|dir| ("node.data_dir", dir.display().to_string()));
        let listen = self.listen.map(|address| ("gateway.listen", address.to_string()));
        let ops = self.ops_listen.map(|address| ("ops.listen", address.to_string()));
        let given = [data_dir, listen, ops].into_iter().flatten();
        given.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// Runs a node of a cluster until it is told to stop.
pub(super) fn run(arguments: Arguments, node: Builder) -> Result<Exit, Failure> {
    let Resolved { config, .. } = arguments.resolve(Profile::Run)?;
    launch(arguments, config, Profile::Run, node, false)
}

/// Runs a node, with settings that were read from `arguments`.
pub(super) fn launch(
    arguments: Arguments,
    config: Config,
    profile: Profile,
    node: Builder,
    leave_with_parent: bool,
) -> Result<Exit, Failure> {
    let address_file = arguments.address_file;
    node::launch(Launch { config, profile, node, address_file, leave_with_parent }).map_err(|error| {
        Failure::failed("the node does not run", &error).state("what was acknowledged is on the volume")
    })?;
    Ok(Exit::Ok)
}

/// Reads all settings.
pub(super) fn resolve(
    sourced: &Sourced,
    profile: Profile,
    mut flags: Vec<(String, String)>,
) -> Result<Resolved, Failure> {
    let file = sourced.config.as_deref().map(read).transpose()?;
    for set in &sourced.set {
        let (key, value) =
            set.split_once('=').ok_or_else(|| not_started(format!("--set {set}: write KEY=VALUE")))?;
        flags.push((key.to_owned(), value.to_owned()));
    }
    let sources = Sources { profile, file, ..Sources::default() };
    let sources = sources.with_env(std::env::vars()).with_flags(flags);
    config::resolve(&sources).map_err(|errors| {
        not_started(errors.to_string())
            .next("docs/config.md lists all keys; `playhouse config show` what is in force")
    })
}

fn not_started(what: String) -> Failure {
    Failure::new(Exit::Usage, what).state("nothing was started")
}

fn read(path: &Path) -> Result<ConfigFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::of_file("read", path, &error))?;
    Ok(ConfigFile { path: path.to_owned(), text })
}
