//! Replicas that talk to each other in one process.

mod barrier;
mod log;
mod members;
mod mesh;
mod pipeline;
mod recovery;
mod simulation;

use std::time::Duration;

use mesh::*;

use super::*;

/// Instant, and in order.
fn mesh() -> Arc<Mesh> {
    Mesh::new(1, Duration::ZERO)
}

fn config() -> Config {
    Config { log_entries_kept: 0, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_late_receives_a_snapshot_and_goes_on_with_the_log() {
    let mesh = mesh();
    let nodes = [mesh.start(1, &config()).await, mesh.start(2, &config()).await];
    nodes[0].group.found(&ids(1..=3)).await.unwrap();
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=30, 100_000).await;
    node.group.snapshot().await.unwrap();
    until("the log is cut", || node.group.log_bounds().1 >= 30).await;
    let late = mesh.start(3, &config()).await;
    apply(&node.group, term, 31..=31, 100_000).await;
    until("it has everything", || state(&late.group) == state(&node.group)).await;
    assert!(late.group.inner.state().unwrap().generation() > 0, "it came as a snapshot");
}

#[tokio::test(start_paused = true)]
async fn a_proposal_behind_a_gap_is_never_said_to_be_committed() {
    let mesh = mesh();
    let nodes = mesh.found(1, &config()).await;
    let (node, term) = leader(&nodes).await;
    let failed = [Progress::Failed(ProposeError::NotCommitted)];
    apply(&node.group, term, 1..=1, 10).await;
    assert_eq!(heard(propose(&node.group, Term(term.0 + 1), 2, 10).await).await, failed);
    assert_eq!(heard(propose(&node.group, term, 3, 10).await).await, failed);
    assert_eq!(node.group.get(&3_u64.to_be_bytes()).unwrap(), None);
}

/// openraft lets a restarted leader go on in its old term unless told otherwise. Its proposals would count from 1 again
/// and all be skipped.
#[tokio::test(start_paused = true)]
async fn a_restarted_leader_leads_in_a_new_term() {
    let mesh = mesh();
    let nodes = mesh.found(1, &config()).await;
    let (node, before) = leader(&nodes).await;
    apply(&node.group, before, 1..=1, 10).await;
    node.group.shutdown().await;
    let again = mesh.start_on(1, node.disk.clone(), &config()).await;
    let (again, after) = leader(&[again]).await;
    assert!(after > before, "{after:?} after {before:?}");
    apply(&again.group, after, 1..=1, 10).await;
}

/// openraft's trigger does nothing at a leader. A term in which a proposal was refused then lasted for ever, and with it
/// nothing more was executed.
#[tokio::test(start_paused = true)]
async fn a_leader_that_asks_for_an_election_leads_in_a_later_term() {
    for voters in [1, 3] {
        let mesh = mesh();
        let nodes = mesh.found(voters, &config()).await;
        let (node, term) = leader(&nodes).await;
        apply(&node.group, term, 1..=1, 10).await;
        let began = Instant::now();
        node.group.elect().await.unwrap();
        until("the term is over", || *node.group.leadership().borrow() != (Leadership::Leader { term }))
            .await;
        let (next, later) = leader(&nodes).await;
        assert!(later > term, "{later:?} after {term:?}");
        assert!(began.elapsed() < Duration::from_millis(100), "nobody waited for a timeout");
        apply(&next.group, later, 1..=1, 10).await;
    }
}

/// No follower ever got it, so nothing more of the group was committed, whoever led.
#[tokio::test(start_paused = true)]
async fn a_proposal_that_no_request_can_carry_ends_its_term_and_not_the_group() {
    let overhead = size_of::<u64>() + 9;
    let mesh = mesh();
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    let largest = config().proposal_bytes_max - overhead;
    apply(&node.group, term, 1..=1, largest).await;
    let refused = [Progress::Failed(ProposeError::NotCommitted)];
    assert_eq!(heard(propose(&node.group, term, 2, largest + 1).await).await, refused);
    assert_eq!(
        heard(propose(&node.group, term, 3, 10).await).await,
        refused,
        "it may follow from the one before"
    );
    node.group.elect().await.unwrap();
    until("the term is over", || *node.group.leadership().borrow() != (Leadership::Leader { term })).await;
    let (next, later) = leader(&nodes).await;
    apply(&next.group, later, 1..=1, 10).await;
    until("all are equal", || nodes.iter().all(|other| state(&other.group) == state(&next.group))).await;
}
