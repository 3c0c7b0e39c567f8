//! The command line.
//!
//! Comes in: arguments, environment, files and standard input. Leaves: text or JSON on standard output, what went
//! wrong on standard error, and an exit code that scripts can rely on (`docs/cli.md`).
//!
//! `run` and `dev` start nodes. `config` reads settings; `backup verify`, `restore` and `recover-shard` work on files while no
//! node does. Every other command speaks HTTP through [`playhouse_client`]; none of them looks inside a node. Each is one file
//! with its `Arguments` and a `run` that returns an [`Exit`] or a `Failure`.

mod backup;
mod bench;
mod call;
mod cast;
mod change;
mod cluster_view;
mod command;
mod config;
mod dev;
mod drain;
mod duration;
mod exit;
mod failure;
mod get;
mod health;
mod interrupts;
mod kinds;
mod leave;
mod list;
mod node;
mod nodes;
mod operators;
mod output;
mod processes;
mod recover_shard;
mod restore;
mod send;
mod server;
mod settle;
mod shards;
mod status;
mod table;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use change::Change;
pub use exit::Exit;
use failure::Failure;
use output::Output;
use server::Server;

use crate::node::Builder;

/// Playhouse: durable, addressable state machines on a cluster of nodes.
#[derive(Debug, Parser)]
#[command(name = "playhouse", version, after_help = exit::HELP)]
struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster on this machine to try things out: loopback only, data under .playhouse/
    Dev(dev::Arguments),
    /// Start a node of a cluster
    Run(node::Arguments),
    /// Show the effective configuration and where each value came from
    Config(config::Arguments),
    /// Send a command to an entity and print its reply
    Call(call::Arguments),
    /// Send a command to an entity and wait until it is committed, not for a reply
    Cast(cast::Arguments),
    /// Print the state of an entity
    Get(get::Arguments),
    /// List entities of a kind
    List(list::Arguments),
    /// List the kinds that the node knows
    Kinds(kinds::Arguments),
    /// Send many commands from a file of JSON lines
    Send(send::Arguments),
    /// Put load on a cluster and say how long answers took
    Bench(bench::Arguments),
    /// Show which servers answer and are ready, how the cluster is, what is wrong and what to do next
    Status(status::Arguments),
    /// Show the members of the cluster: what they hold, lead and say
    Nodes(nodes::Arguments),
    /// Show shards that are not as they should be: leader, replicas, moves
    Shards(shards::Arguments),
    /// Show the processes of a node or of all: supervision trees, names, groups, mailboxes
    Processes(processes::Arguments),
    /// Have a node give its leaderships away before it restarts, and wait until it has
    Drain(drain::Arguments),
    /// Take a drain back
    Undrain(change::Arguments),
    /// Have the cluster become smaller or larger, and watch until it has
    Scale(leave::Scale),
    /// Have nodes leave for good, and watch until their replicas have moved
    Leave(leave::Leave),
    /// Have the replicas of a node that is down made anew elsewhere, now
    Replace(change::Arguments),
    /// Remove a node that has left, or that is down and holds nothing
    Forget(change::Arguments),
    /// Copy everything that the cluster holds into a folder, or check such a copy
    Backup(backup::Arguments),
    /// Fill the empty volume of the node that founds a cluster from a backup
    Restore(restore::Arguments),
    /// After a majority of volumes is lost for good: go on with one of those that are left
    RecoverShard(recover_shard::Arguments),
    /// Show the health of a node, check by check
    Health(health::Arguments),
}

/// Parses the arguments of this process and does what they say. What goes wrong is written to standard error.
#[must_use]
pub fn main() -> ExitCode {
    main_with(Builder::default(), std::env::args_os())
}

/// As [`main`], for a binary with kinds of its own. The first argument is its name.
#[must_use]
pub fn main_with(node: Builder, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { server, command } = Arguments::parse_from(arguments);
    let output = server.output();
    let exit = match run(command, node, &server, &output) {
        Ok(exit) => exit,
        Err(failure) => failure.report(&output),
    };
    exit.into()
}

fn run(command: Command, node: Builder, server: &Server, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Dev(arguments) => dev::run(arguments, node, output),
        Command::Run(arguments) => node::run(arguments, node),
        Command::Config(arguments) => config::run(arguments, output),
        Command::Call(arguments) => wait(call::run(arguments, server, output)),
        Command::Cast(arguments) => wait(cast::run(arguments, server, output)),
        Command::Get(arguments) => wait(get::run(arguments, server, output)),
        Command::List(arguments) => wait(list::run(arguments, server, output)),
        Command::Kinds(arguments) => wait(kinds::run(arguments, server, output)),
        Command::Send(arguments) => wait(send::run(arguments, server, output)),
        Command::Bench(arguments) => bench::run(arguments, server, output),
        Command::Status(arguments) => wait(status::run(arguments, server, output)),
        Command::Nodes(arguments) => wait(nodes::run(arguments, server, output)),
        Command::Shards(arguments) => wait(shards::run(arguments, server, output)),
        Command::Processes(arguments) => wait(processes::run(arguments, server, output)),
        Command::Drain(arguments) => wait(drain::run(arguments, server, output)),
        Command::Undrain(arguments) => wait(change::run(Change::Undrain, arguments, server, output)),
        Command::Scale(arguments) => wait(leave::scale(arguments, server, output)),
        Command::Leave(arguments) => wait(leave::leave(arguments, server, output)),
        Command::Replace(arguments) => wait(change::run(Change::Replace, arguments, server, output)),
        Command::Forget(arguments) => wait(change::run(Change::Forget, arguments, server, output)),
        Command::Backup(arguments) => wait(backup::run(arguments, server, output)),
        Command::Restore(arguments) => restore::run(arguments, &node, output),
        Command::RecoverShard(arguments) => recover_shard::run(arguments, output),
        Command::Health(arguments) => wait(health::run(arguments, server, output)),
    }
}

/// Runs a client command on a runtime of its own: one thread, since the work is elsewhere.
fn wait(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("could not start", &error))?;
    let outcome = runtime.block_on(work);
    // A read of standard input that nobody waits for any more must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
