//! What is heard of processes whose node is killed, frozen or started again.

use super::handle::Node;

/// After how many seconds a silent peer counts as dead. A busy machine must not do that where nobody is frozen.
const PATIENT: u64 = 600;
const IMPATIENT: u64 = 3;

fn pair(silent_max: u64) -> (Node, Node) {
    let start = |number| Node::start_with(number, 1, silent_max, 0);
    let (mut one, mut other) = (start(1), start(2));
    one.meet(&mut other, 1, 1);
    (one, other)
}

/// Two nodes; the first watches the process of the second and is linked with it.
fn watching(silent_max: u64) -> (Node, Node) {
    let (mut one, other) = pair(silent_max);
    assert_eq!(one.tell("find 1"), "ok");
    for command in ["watch", "link"] {
        assert_eq!(one.tell(command), "ok");
    }
    assert_eq!(one.tell("call"), "here");
    (one, other)
}

/// What it has heard, in order of the alphabet: a monitor and a link are told independently.
fn heard(node: &mut Node, count: usize) -> Vec<String> {
    let mut heard: Vec<_> = node.tell(&format!("heard {count}")).split(' ').map(str::to_owned).collect();
    heard.sort();
    heard
}

#[test]
fn the_reason_of_an_end_crosses_the_wire() {
    let (mut one, mut other) = watching(PATIENT);
    assert_eq!(other.tell("end"), "shutdown");
    assert_eq!(heard(&mut one, 2), ["down:shutdown", "exit:shutdown"]);
    assert_eq!(one.tell("call"), "the process does not run (noproc)");
    other.kill();
    one.tell("lost");
    assert_eq!(heard(&mut one, 2), ["down:shutdown", "exit:shutdown"], "the end of the node is no news");
}

#[test]
fn a_node_that_is_killed_takes_its_processes_along() {
    let (mut one, mut other) = watching(PATIENT);
    one.tell("hang");
    other.kill();
    assert_eq!(heard(&mut one, 2), ["down:noconnection", "exit:noconnection"]);
    let hung = one.tell("hung");
    assert!(hung.contains("noconnection"), "{hung}");
    let refused = one.tell("call");
    assert!(refused.contains("noconnection"), "{refused}");
}

#[test]
fn a_node_that_is_frozen_counts_as_gone_and_its_processes_are_found_again() {
    let (mut one, mut other) = watching(IMPATIENT);
    one.tell("hang");
    other.freeze();
    assert_eq!(heard(&mut one, 2), ["down:noconnection", "exit:noconnection"]);
    let hung = one.tell("hung");
    assert!(hung.contains("noconnection"), "{hung}");
    other.thaw();
    // A link ends both: the frozen one hears of it when it runs again.
    assert_eq!(other.tell("ended"), "noconnection");
    assert!(one.tell("reach 1").ends_with("ms"));
    assert_eq!(heard(&mut one, 2), ["down:noconnection", "exit:noconnection"], "told once");
}

#[test]
fn a_process_that_is_only_watched_survives_that_its_node_was_frozen() {
    let (mut one, mut other) = pair(IMPATIENT);
    one.tell("find 1");
    one.tell("watch");
    assert_eq!(one.tell("call"), "here");
    other.freeze();
    assert_eq!(heard(&mut one, 1), ["down:noconnection"]);
    other.thaw();
    assert!(one.tell("reach 1").ends_with("ms"));
    assert_eq!(one.tell("call"), "here", "the same reference reaches it again");
    one.tell("watch");
    other.tell("end");
    assert_eq!(heard(&mut one, 2), ["down:noconnection", "down:shutdown"]);
}

/// Killed or still frozen: the next start of the node is another one.
#[test]
fn processes_of_an_earlier_start_are_gone_when_the_next_one_is_there() {
    for is_frozen in [false, true] {
        let (mut one, mut other) = watching(IMPATIENT);
        if is_frozen {
            other.freeze();
        } else {
            other.kill();
        }
        let mut again = Node::start_with(2, 2, IMPATIENT, 0);
        one.meet(&mut again, 1, 2);
        assert_eq!(heard(&mut one, 2), ["down:noconnection", "exit:noconnection"]);
        assert_eq!(one.tell("call"), "the process does not run (noproc)");
        one.tell("watch");
        assert_eq!(heard(&mut one, 3), ["down:noconnection", "down:noproc", "exit:noconnection"]);
        assert_eq!(one.tell("find 2"), "ok");
        assert_eq!(one.tell("call"), "here", "a process of the new start");
    }
}
