//! What a read barrier rests on.

use super::{config, mesh::*};
use crate::consensus::raft::group::*;
use std::time::Duration;
use tokio::sync::oneshot;

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

/// A commit is told before it is applied: what was read of the state behind a barrier lacked effects that somebody had been told of.
#[tokio::test(start_paused = true)]
async fn a_replica_has_caught_up_when_what_is_committed_is_applied() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(1, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=3, 10).await;
    let (go_on, held) = oneshot::channel::<()>();
    let raft = &node.group.inner.raft;
    let hold = raft.external_state_machine_request(|_| Box::pin(async move { drop(held.await) }));
    hold.await.unwrap();
    assert!(node.group.caught_up(SOON).await, "nothing waits");
    let mut news = propose(&node.group, term, 4, 10).await;
    assert_eq!(news.recv().await, Some(Progress::Committed));
    assert_eq!(node.group.read_barrier(term).await, Ok(()));
    assert!(!node.group.caught_up(SOON).await, "its turn comes behind what is held");
    let waiting = node.group.caught_up(Duration::from_secs(60));
    let released = async {
        tokio::time::sleep(SOON).await;
        go_on.send(()).unwrap();
    };
    assert!(tokio::join!(waiting, released).0);
    assert!(node.group.get(&4_u64.to_be_bytes()).unwrap().is_some());
    node.group.shutdown().await;
    assert!(!node.group.caught_up(SOON).await, "it has stopped");
}
