//! Processes of different nodes, where each node is an operating system process: killed, frozen, started again.
//!
//! Every node is this executable, started again with the variable [`peer::ROLE`] and told what to do line by line.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // The whole file is a test.

#[allow(dead_code)] // It can more than is needed here.
#[path = "../cluster/tests/processes/handle.rs"]
mod handle;
#[path = "distribution/nodes_that_go.rs"]
mod nodes_that_go;
#[path = "distribution/peer.rs"]
mod peer;

/// The child of the other tests; among the tests it does nothing.
#[test]
fn be_a_peer_if_told_so() {
    if let Ok(role) = std::env::var(peer::ROLE) {
        peer::run(&role);
    }
}
