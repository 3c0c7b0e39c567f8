//! Remote processes between operating system processes: what `ractor_cluster` alone gets wrong, and what a layer above must
//! know about `ractor`.
//!
//! Registry, groups and the table of actors are process-wide, so every node is a child process: this executable, started
//! again with the variable [`peer::ROLE`], and told what to do line by line.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // The whole file is a test.

#[path = "processes/actors.rs"]
mod actors;
#[path = "processes/defects.rs"]
mod defects;
#[path = "processes/facts.rs"]
mod facts;
#[path = "processes/handle.rs"]
mod handle;
#[path = "processes/peer.rs"]
mod peer;
#[path = "processes/road.rs"]
mod road;

/// The child of the other tests; among the tests it does nothing.
#[test]
fn be_a_peer_if_told_so() {
    if let Ok(role) = std::env::var(peer::ROLE) {
        peer::run(&role);
    }
}
