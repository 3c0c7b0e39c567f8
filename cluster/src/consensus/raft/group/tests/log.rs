//! The log is bounded, whatever the followers do.

use std::time::Duration;

use super::mesh::*;
use crate::consensus::{keys::Keys, raft::group::*};

const ENTRIES_MAX: u64 = 20;

fn config() -> Config {
    Config { log_entries_max: ENTRIES_MAX, log_entries_kept: 5, ..Config::default() }
}

/// How many entries are on the disk.
fn stored(node: &Node) -> u64 {
    let range = Keys::new(GROUP).log();
    node.store.keys(&range.start..&range.end, usize::MAX).unwrap().len() as u64
}

/// Proposes without a pause, and returns the most entries that ever lay on the leader's disk.
async fn flood(node: &Node, term: Term, numbers: std::ops::RangeInclusive<u64>) -> u64 {
    let mut most = 0;
    for number in numbers {
        apply(&node.group, term, number..=number, 10).await;
        if number % 4 == 0 {
            most = most.max(stored(node));
        }
    }
    most
}

/// openraft keeps what it is sending to a follower until that answers. A hundred times the bound is proposed while one
/// follower does not.
#[tokio::test(start_paused = true)]
async fn the_log_is_bounded_while_a_follower_does_not_answer() {
    for (followers, how) in [(2, Cut::Silent), (2, Cut::Refused), (4, Cut::Silent)] {
        let mesh = Mesh::new(1, Duration::from_millis(1));
        let nodes = mesh.found(1 + followers, &config()).await;
        let (node, term) = leader(&nodes).await;
        apply(&node.group, term, 1..=1, 10).await;
        let others = nodes.iter().filter(|other| other.group.own() != node.group.own());
        // The largest minority.
        let lost: Vec<&Node> = others.take(followers as usize / 2).collect();
        lost.iter().for_each(|lost| mesh.isolate(lost.group.own().0, how));
        let most = flood(&node, term, 2..=100 * ENTRIES_MAX).await;
        assert!(most <= 5 * ENTRIES_MAX, "{most} entries with {} replicas lost, {how:?}", lost.len());
        mesh.heal();
        for lost in lost {
            until("it has everything", || state(&lost.group) == state(&node.group)).await;
            assert!(lost.group.inner.state().unwrap().generation() > 0, "it came as a snapshot");
        }
        assert!(term_of(&node.group) == Some(term), "leadership did not move");
    }
}

/// A follower on a slow disk is never away, but always too late.
#[tokio::test(start_paused = true)]
async fn the_log_is_bounded_while_a_follower_is_too_slow() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    let slow = nodes.iter().find(|other| other.group.own() != node.group.own()).unwrap();
    slow.disk.faults().set_latency(Duration::from_millis(700));
    let most = flood(&node, term, 1..=40 * ENTRIES_MAX).await;
    assert!(most <= 6 * ENTRIES_MAX, "{most} entries");
    slow.disk.faults().set_latency(Duration::ZERO);
    until("it has everything", || state(&slow.group) == state(&node.group)).await;
}

/// A snapshot takes longer than the log is kept. It must not be for nothing: the follower goes on with the log behind
/// it, although the leader never rests.
#[tokio::test(start_paused = true)]
async fn a_follower_catches_up_by_a_slow_snapshot_while_the_leader_works() {
    let mesh = Mesh::new(1, Duration::from_millis(2));
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=20, 1 << 20).await;
    flood(&node, term, 21..=100).await;
    let late = mesh.start(4, &config()).await;
    node.group.add_learner(RaftId(4), Duration::from_secs(5)).await.unwrap();
    let mut number = 100;
    while node.group.progress().unwrap().lag(RaftId(4)) > 0 {
        number += 1;
        assert!(number < 3_000, "it never catches up");
        drop(heard(propose(&node.group, term, number, 10).await).await);
    }
    assert!(late.group.inner.state().unwrap().generation() > 0, "it came as a snapshot");
    until("it has everything", || state(&late.group) == state(&node.group)).await;
    assert!(late.group.inner.state().unwrap().generation() < 4, "one was enough, or almost");
}
