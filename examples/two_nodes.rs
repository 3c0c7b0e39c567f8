//! Processes on two nodes: a group, a remote call, a spawn elsewhere, a monitor with its reason, a name in the whole cluster.
//!
//! ```text
//! cargo run --example two_nodes -- dev --nodes 2
//! ```
//!
//! Each node is an operating system process of its own. Every node offers a process and lets others start such processes; the one that
//! gets the name `guide` first makes the tour and says what it sees.

#[path = "two_nodes/tour.rs"]
mod tour;

use std::process::ExitCode;

use playhouse::node::Node;

fn main() -> ExitCode {
    Node::builder().application("two_nodes", tour::open).main()
}
