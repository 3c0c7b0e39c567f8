//! What a layer of processes must know about `ractor`. These are no promises of ours: a test that fails here says that
//! `ractor` has changed, and the module doc of `peering::processes` with it.

use super::handle::Node;

/// Whether it is asked for is said by the type of the messages.
#[test]
fn an_ordinary_process_has_no_mirror() {
    let (mut one, mut other) = Node::pair();
    other.tell("spawn ordinary 500");
    // Spawned last, so it is mirrored last.
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    assert_eq!(one.tell("mirrors 1"), "1");
}

/// A process nobody asked to be remotable is, if its messages are text, bytes or numbers.
#[test]
fn a_process_that_takes_text_is_mirrored_unasked() {
    let (mut one, mut other) = Node::pair();
    other.tell("spawn text 3");
    assert_eq!(one.tell("mirrors 3"), "3");
}

/// The registry of a node knows its own names only.
#[test]
fn the_name_of_a_remote_process_is_not_found() {
    let (mut one, mut other) = Node::pair();
    let pid = other.tell("named echo bert");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    assert_eq!(one.tell("where bert"), "0 local, 0 remote");
    assert_eq!(other.tell("where bert"), "1 local, 0 remote");
}

/// Mirrors never take a name, but give it back when they stop.
#[test]
fn a_mirror_that_stops_takes_the_name_of_a_local_process_with_it() {
    let (mut one, mut other) = Node::pair();
    one.tell("named ordinary bert");
    let pid = other.tell("named echo bert");
    assert_eq!(one.tell("mirrors 1"), "1");
    assert_eq!(one.tell("where bert"), "1 local, 0 remote");
    other.tell(&format!("stop {pid}"));
    assert_eq!(one.tell("mirrors 0"), "0");
    assert_eq!(one.tell("where bert"), "0 local, 0 remote");
}

/// A group of the same name is one group on all nodes, and forgets who is lost.
#[test]
fn a_group_has_the_remotable_members_of_all_nodes() {
    let (mut one, mut other) = Node::pair();
    for what in ["echo", "ordinary"] {
        let (here, there) = (one.tell(&format!("spawn {what} 1")), other.tell(&format!("spawn {what} 1")));
        one.tell(&format!("join choir {here}"));
        other.tell(&format!("join choir {there}"));
    }
    assert_eq!(one.tell("members choir 3"), "2 local, 1 remote");
    assert_eq!(other.tell("members choir 3"), "2 local, 1 remote");
    other.kill();
    assert_eq!(one.tell("members choir 2"), "2 local, 0 remote");
}
