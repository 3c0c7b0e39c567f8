//! What `ractor_cluster` 0.16.5 gets wrong alone, each as a story that goes well behind our link.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{handle::Node, peer::CLOSE_AFTER, road};

/// A loaded machine may be late.
const LATE: Duration = Duration::from_secs(10);
const MIB: u64 = 1024;

fn millis(words: &str) -> u128 {
    words.split(' ').rev().nth(1).unwrap().parse().unwrap()
}

/// Alone: 2.36 million casts to a stopped peer returned `Ok`, the sender grew by 2.8 GB, and the call never ended.
#[test]
fn a_frozen_peer_is_noticed_and_costs_its_sender_no_memory() {
    let (mut one, mut other) = Node::pair();
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    other.freeze();
    let flood = one.tell(&format!("flood {pid} 1000"));
    println!("taken, refused, ms, KiB: {flood}");
    let words: Vec<_> = flood.splitn(5, ' ').collect();
    let [taken, refused, ms, kib] = [0, 1, 2, 3].map(|at| words[at].parse::<u64>().unwrap());
    assert_eq!(words[4], "the peer of that process is not connected any more");
    // What waits has at most 8 MiB; as much as a window is on its way beside it.
    assert!((1_000..20_000).contains(&taken), "{taken} casts of a peer that reads nothing were taken");
    assert!(refused > 0, "nobody was told that nothing moves");
    assert!(u128::from(ms) < (CLOSE_AFTER + LATE).as_millis(), "noticed after {ms} ms");
    assert!(kib < 64 * MIB, "the sender grew by {kib} KiB");
    assert!(one.tell("lost").ends_with("ms"));
    assert_eq!(one.tell("mirrors 0"), "0");

    // It wakes up as the same incarnation, and is taken back.
    other.thaw();
    assert!(one.tell("reach 1").ends_with("ms"));
    assert!(other.tell("reach 1").ends_with("ms"));
    assert_eq!(one.tell(&format!("echo {pid} 9000 again")), "again");
}

/// Alone: 7 of 14 tries were refused, because what was left of the last connection won the election.
#[test]
fn a_peer_that_starts_again_is_taken_every_time() {
    // The one who dials the lane starts again, and the one who is dialed.
    for (stays, starts) in [(1, 2), (2, 1)] {
        let (mut stays, mut last) = (Node::start(stays, 1), Node::start(starts, 1));
        stays.meet(&mut last, 1, 1);
        for incarnation in 2..=11 {
            // The last one is gone, or silent but still connected: then the new one must not wait for its end.
            let is_silent = incarnation % 2 == 0;
            if is_silent {
                last.freeze()
            } else {
                last.kill()
            }
            let mut next = Node::start(starts, incarnation);
            stays.meet(&mut next, 1, incarnation);
            let pid = next.tell("spawn echo 1");
            assert_eq!(stays.tell(&format!("echo {pid} 9000 {incarnation}")), incarnation.to_string());
            last = next;
        }
    }
}

/// Alone: one connection that says nothing stopped all TLS peering.
#[test]
fn silent_connections_stop_nothing() {
    let (mut one, mut other) = (Node::start(1, 1), Node::start(2, 1));
    let silent: Vec<_> =
        (0..20).flat_map(|_| [&one, &other].map(|node| TcpStream::connect(&node.address).unwrap())).collect();
    one.meet(&mut other, 1, 1);
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    drop(silent);
}

/// Alone: frames of 16 MiB were accepted from anybody. Here nothing of it can be reached: the one port is that of the link.
#[test]
fn nothing_is_read_from_a_stranger() {
    const FRAME: usize = 16 << 20;
    let (mut one, _other) = Node::pair();
    let port: u16 = one.address.rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(one.tell("listening"), format!("0100007F:{port:04X}"), "somebody else listens");
    let before: u64 = one.tell("resident").parse().unwrap();
    for _ in 0..8 {
        let mut stranger = TcpStream::connect(&one.address).unwrap();
        let sent = stranger
            .write_all(&(FRAME as u64).to_be_bytes())
            .and_then(|()| stranger.write_all(&vec![0; FRAME]));
        let answer = stranger.read(&mut [0; 1]).map_err(|error| error.kind());
        // Whether the system still took bytes of the frame says nothing; the connection ends without an answer.
        let is_closed = matches!(answer, Ok(0) | Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
        assert!(is_closed, "{sent:?} {answer:?}");
    }
    let grown = one.tell("resident").parse::<u64>().unwrap().saturating_sub(before);
    assert!(grown < 8 * MIB, "strangers cost {grown} KiB");
}

/// The same bound for those who belong to us: a message that is too large is an error for its sender, and a reply that is too
/// large ends with its call. Neither costs the session.
#[test]
fn a_message_that_is_too_large_is_refused_and_the_session_stays() {
    let (mut one, mut other) = Node::pair();
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("long {pid} 1000000 9000")), "1000000");
    let refused = one.tell(&format!("cast {pid} 1048576"));
    assert!(refused.starts_with("the message has 1048"), "{refused}");
    let late = one.tell(&format!("long {pid} 1048576 300"));
    assert!(late.starts_with("no answer within 300ms"), "{late}");
    assert_eq!(other.tell("dropped 1"), "1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
}

/// What a node sends is bounded by its own setting alone, or a change of it, node after node, would part them.
#[test]
fn nodes_of_different_settings_keep_their_session() {
    let (mut one, mut other) = (Node::start_with(1, 1, 4096, 128), Node::start(2, 1));
    one.meet(&mut other, 1, 1);
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    let session = one.tell("newer 0");
    assert_eq!(one.tell(&format!("cast {pid} 3000000")), "ok");
    assert_eq!(other.tell(&format!("noted {pid} 1")), "1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 again")), "again");
    assert_eq!(one.tell("newer 0"), session);
}

/// All of them are told in one frame, which is larger than a message may be. Dropped like one, it left a peer that was ready
/// without a mirror for ever.
#[test]
fn all_processes_are_told_however_small_messages_are() {
    let (mut one, mut other) = (Node::start(1, 1), Node::start_with(2, 1, 4, 128));
    other.tell("spawn echo 2000");
    other.tell("join choir all");
    one.meet(&mut other, 1, 1);
    assert_eq!(one.tell("mirrors 2000"), "2000");
    assert_eq!(one.tell("members choir 2000"), "0 local, 2000 remote");
    assert_eq!(other.tell("dropped 0"), "0");
}

/// Alone, and with a bound that ends at the deadline of the caller: answers for which nobody waits any more pile up at the peer,
/// as fast as callers try again.
#[test]
fn answers_that_nobody_waits_for_cost_their_sender_no_memory() {
    const ANSWERS: u64 = 4;
    let (mut one, mut other) = (Node::start_with(1, 1, 1024, ANSWERS), Node::start_with(2, 1, 1024, ANSWERS));
    let slow = road::slow_from(&other.address);
    one.meet_at(&slow, &mut other, 1, 1);
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    let resident = |node: &mut Node| node.tell("resident").parse::<u64>().unwrap();
    let (session, before, mut most) = (one.tell("newer 0"), resident(&mut other), 0);
    one.begin(&format!("storm {pid} 1000000 50 3"));
    let counts = loop {
        most = resident(&mut other).max(most);
        if let Some(counts) = one.answer_soon() {
            break counts;
        }
    };
    let grown = most.saturating_sub(before);
    println!("answered, late, refused: {counts}; KiB: {grown}");
    let counts: Vec<u64> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
    assert!(counts[1] > 0 && counts[2] > 0, "callers are not faster than answers: {counts:?}");
    // What is written, and what waits meanwhile, each as messages and as bytes.
    assert!(grown < 8 * ANSWERS * MIB, "it grew by {grown} KiB");
    // All that counted counts no more, on the same session.
    assert_eq!(one.tell(&format!("echo-at-last {pid} again")), "again");
    assert_eq!(one.tell("newer 0"), session);
}

/// A call counts longer than its caller waits, but a process that drops its replies must not use up the calls to its node.
#[test]
fn calls_without_an_answer_count_for_a_while_only() {
    let (mut one, mut other) = (Node::start_with(1, 1, 1024, 2), Node::start(2, 1));
    one.meet(&mut other, 1, 1);
    let pid = other.tell("spawn echo 1");
    let session = one.tell("newer 0");
    for _ in 0..2 {
        let late = one.tell(&format!("silent {pid} 50"));
        assert!(late.starts_with("no answer within 50ms"), "{late}");
    }
    assert_eq!(one.tell(&format!("echo-at-last {pid} hello")), "hello");
    assert_eq!(one.tell("newer 0"), session);
}

/// Alone: a call hung for ever when its target was gone, or dropped the port for the answer.
#[test]
fn a_call_ends_whatever_becomes_of_its_target() {
    let (mut one, mut other) = Node::pair();
    let pid = other.tell("spawn echo 1");
    let late = one.tell(&format!("silent {pid} 300"));
    assert!(late.starts_with("no answer within 300ms"), "{late}");
    assert!(millis(&late) < LATE.as_millis(), "{late}");

    // Its node dies while it has the call.
    one.begin(&format!("silent {pid} 50000"));
    assert_eq!(other.tell(&format!("noted {pid} 2")), "2");
    other.kill();
    let lost = one.answer();
    assert!(lost.starts_with("the peer of that process was lost before it answered"), "{lost}");
    assert!(millis(&lost) < (CLOSE_AFTER + LATE).as_millis(), "{lost}");
}

/// Alone: the same, for a target that ends.
#[test]
fn a_call_to_a_process_that_ended_ends_with_it() {
    let (mut one, mut other) = Node::pair();
    let (stays, ends) = (other.tell("spawn echo 1"), other.tell("spawn echo 1"));
    assert_eq!(one.tell(&format!("echo {ends} 9000 hello")), "hello");
    one.begin(&format!("silent {ends} 50000"));
    assert_eq!(other.tell(&format!("noted {ends} 1")), "1");
    other.tell(&format!("stop {ends}"));
    let gone = one.answer();
    assert!(gone.starts_with("the process ended before it answered"), "{gone}");
    assert!(millis(&gone) < LATE.as_millis(), "{gone}");
    assert_eq!(one.tell("mirrors 1"), "1");
    assert_eq!(one.tell(&format!("echo {stays} 9000 hello")), "hello");
}

/// All that is charged is released: casts go on for ever as long as the peer reads.
#[test]
fn a_peer_that_reads_is_never_full_for_long() {
    let (mut one, mut other) = Node::pair();
    let pid = other.tell("spawn echo 1");
    assert_eq!(one.tell("mirrors 1"), "1");
    let mut sent = 0;
    // Together several times what may wait.
    for _ in 0..40 {
        match &*one.tell(&format!("cast {pid} 900000")) {
            "ok" => sent += 1,
            refused => assert_eq!(refused, "too much waits to be sent to that peer"),
        }
        // An answer comes behind everything that was sent before.
        assert_eq!(one.tell(&format!("echo {pid} 9000 hello")), "hello");
    }
    assert_eq!(sent, 40);
    assert_eq!(one.tell(&format!("count {pid} 40")), "40");
}
