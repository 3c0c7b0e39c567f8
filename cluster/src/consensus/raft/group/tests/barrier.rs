//! What a read barrier rests on.

use super::{config, mesh::*};
use crate::consensus::raft::group::*;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(5);

/// A node that was frozen finds old answers in its sockets when it wakes up. They say nothing about now.
#[tokio::test(start_paused = true)]
async fn late_answers_to_what_was_sent_before_it_do_not_pass_a_barrier() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=1, 10).await;
    until("all have it", || nodes.iter().all(|other| state(&other.group) == state(&node.group))).await;
    let own = node.group.own().0;
    let [one, other]: [u64; 2] = (1..=3).filter(|id| *id != own).collect::<Vec<_>>().try_into().unwrap();

    for follower in [one, other] {
        mesh.hold_answers(follower, own);
    }
    let _news = propose(&node.group, term, 2, 10).await;
    tokio::time::sleep(SOON).await;
    for follower in [one, other] {
        mesh.cut(own, follower, Cut::Silent);
    }
    let group = node.group.clone();
    let barrier = node.environment.spawn(async move { group.read_barrier(term).await });
    tokio::time::sleep(SOON).await;
    mesh.release_answers(one, own);
    until("it is committed", || node.group.get(&2_u64.to_be_bytes()).unwrap().is_some()).await;
    tokio::time::sleep(SOON).await;
    mesh.release_answers(other, own);
    assert_eq!(
        barrier.await.unwrap(),
        Err(ProposeError::NotCommitted),
        "nothing that was sent since arrived"
    );
}

#[tokio::test(start_paused = true)]
async fn barriers_that_come_together_share_a_round() {
    let mesh = Mesh::new(1, Duration::from_millis(3));
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=1, 10).await;
    let before = mesh.counts.lock().sent;
    let barriers = (0..100).map(|_| node.group.read_barrier(term));
    let passed = futures_util::future::join_all(barriers).await;
    assert!(passed.iter().all(Result::is_ok), "{passed:?}");
    // Two rounds with two questions each, and heartbeats.
    let sent = mesh.counts.lock().sent - before;
    assert!(sent <= 8, "{sent} messages");
    assert_eq!(node.group.read_barrier(Term(term.0 + 1)).await, Err(ProposeError::NotCommitted));
}
