//! Programs with processes and entities, on nodes that are operating system processes: killed, and told to leave.
//!
//! Every node is this executable, started again with the variable [`ROLE`].

#![allow(clippy::unwrap_used, clippy::print_stdout)] // The whole file is a test.

#[path = "applications/consumer.rs"]
mod consumer;
#[path = "applications/doorbell.rs"]
mod doorbell;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/process.rs"]
mod process;
#[path = "applications/queue.rs"]
mod queue;
#[path = "../examples/two_nodes/tour.rs"]
mod tour;
#[path = "applications/two_nodes.rs"]
mod two_nodes;

use std::{ffi::OsString, process::ExitCode};

use playhouse::node::Node;
use tokio::process::Command;

/// Arguments of the node, separated by newlines; the first is its application.
const ROLE: &str = "APPLICATION_NODE";

/// The scenarios wait for silent nodes, which a busy machine could make of others: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Not a test by itself: the process that the other tests start and kill.
#[test]
fn a_node_with_an_application() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let mut arguments = role.to_str().unwrap().lines().map(OsString::from);
    let application = arguments.next().unwrap();
    let node = Node::builder().kind::<doorbell::Doorbell>();
    let node = match application.to_str() {
        Some("consumer") => node.application("consumer", consumer::open),
        _ => node.application("two_nodes", tour::open),
    };
    let name = OsString::from("application");
    assert_eq!(node.main_with(std::iter::once(name).chain(arguments)), ExitCode::SUCCESS);
}

fn consumer(arguments: &[OsString]) -> Command {
    node("consumer", arguments)
}

fn tourist(arguments: &[OsString]) -> Command {
    node("tour", arguments)
}

fn node(application: &str, arguments: &[OsString]) -> Command {
    let mut role = OsString::from(application);
    for argument in arguments {
        role.push("\n");
        role.push(argument);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_node_with_an_application", "--nocapture"]).env(ROLE, role);
    command
}
