//! Replicas that come, go, and come again; leadership that is handed on.

use super::mesh::*;
use crate::{
    codec,
    consensus::{
        keys::Keys,
        raft::{
            arrivals::Transfer,
            group::*,
            network::{Answer, Question},
            types::{Types, Vote, encode},
        },
    },
};
use openraft::raft::{SnapshotResponse, VoteRequest};
use std::time::Duration;
use tokio::sync::oneshot;

const SECOND: Duration = Duration::from_secs(1);

fn voters(node: &Node) -> BTreeSet<RaftId> {
    node.group.replicas().borrow().voters.clone()
}

/// Waits until `of` lacks nothing, as its leader knows.
async fn caught_up(leader: &Node, of: u64) {
    until("it has the whole log", || leader.group.progress().unwrap().lag(RaftId(of)) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_a_log_starts_no_election_and_waits_to_be_added() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(1, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    let waiting = mesh.start(2, &Config::default()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*waiting.group.leadership().borrow(), Leadership::Follower { leader: None });
    assert_eq!(*waiting.group.replicas().borrow(), Replicas::default());
    assert!(!waiting.group.quorum_heard_within(Duration::from_secs(60)));
    assert!(!RaftGroup::has_group(&waiting.store, GROUP).unwrap(), "not even a vote");
    node.group.add_learner(RaftId(2), SECOND).await.unwrap();
    apply(&node.group, term, 1..=5, 10).await;
    until("it has the state", || state(&waiting.group) == state(&node.group)).await;
    assert_eq!(waiting.group.replicas().borrow().learners, ids([2]));
    assert_eq!(*waiting.group.applied().borrow(), *node.group.applied().borrow());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(term_of(&node.group), Some(term), "a learner disturbs nobody");
}

/// For a moment nobody seemed to vote. A replica of three took itself for the only one then and began an election, which cost
/// the leader its term, and one that is alone waited for the election timeout.
#[tokio::test(start_paused = true)]
async fn a_replica_that_starts_again_knows_at_once_who_votes() {
    for count in [1, 3] {
        let mesh = Mesh::new(1, Duration::ZERO);
        let nodes = mesh.found(count, &Config::default()).await;
        let (node, term) = leader(&nodes).await;
        apply(&node.group, term, 1..=5, 10).await;
        let all = voters(&node);
        assert_eq!(all, ids(1..=count));
        let other = nodes.iter().find(|other| count == 1 || other.group.own() != node.group.own()).unwrap();
        until("it knows the voters", || voters(other) == all).await;
        other.group.shutdown().await;
        let again = mesh.start_on(other.group.own().0, other.disk.clone(), &Config::default()).await;
        assert_eq!(voters(&again), all);
    }
}

#[tokio::test(start_paused = true)]
async fn voters_are_replaced_one_by_one_and_the_removed_one_is_destroyed() {
    let mesh = Mesh::new(1, Duration::from_millis(3));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=20, 100).await;
    let gone = nodes.iter().find(|other| other.group.own() != node.group.own()).unwrap();
    let kept = ids((1..=3).filter(|id| RaftId(*id) != gone.group.own()));
    let next: BTreeSet<RaftId> = kept.iter().copied().chain([RaftId(4)]).collect();
    let new = mesh.start(4, &Config::default()).await;
    let unknown = node.group.change_voters(&next, SECOND).await;
    assert_eq!(unknown, Err(ChangeError::Unknown { replica: RaftId(4) }));
    node.group.add_learner(RaftId(4), SECOND).await.unwrap();
    caught_up(&node, 4).await;
    node.group.change_voters(&next, SECOND).await.unwrap();
    assert!(votes(&node.group, &next));
    until("the new voter knows", || votes(&new.group, &next)).await;
    node.group.change_voters(&next, SECOND).await.unwrap();
    gone.group.shutdown().await;
    assert!(RaftGroup::has_group(&gone.store, GROUP).unwrap());
    RaftGroup::destroy(&gone.store, GROUP).await.unwrap();
    assert!(!RaftGroup::has_group(&gone.store, GROUP).unwrap());
    assert_eq!(gone.store.scan(&b"g"[..]..&b"h"[..], 10).unwrap().len(), 1, "only the promises are left");
    apply(&node.group, term, 21..=21, 10).await;
    until("the new voter has everything", || state(&new.group) == state(&node.group)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_refused_with_its_reason_and_never_hangs() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config { lag_max: 3, ..Config::default() }).await;
    let (node, term) = leader(&nodes).await;
    let own = node.group.own();
    let other = nodes.iter().find(|other| other.group.own() != own).unwrap();
    let refused = other.group.add_learner(RaftId(9), SECOND).await;
    assert_eq!(refused, Err(ChangeError::NotLeader { leader: Some(own) }));
    let refused = other.group.change_voters(&ids(1..=3), SECOND).await;
    assert_eq!(refused, Err(ChangeError::NotLeader { leader: Some(own) }));
    node.group.add_learner(RaftId(9), SECOND).await.unwrap();
    apply(&node.group, term, 1..=4, 10).await;
    let refused = node.group.change_voters(&ids([1, 2, 3, 9]), SECOND).await;
    assert!(matches!(refused, Err(ChangeError::NotCaughtUp { replica: RaftId(9), lag: 4.. })), "{refused:?}");
    let without: BTreeSet<RaftId> = ids(1..=3).into_iter().filter(|id| *id != own).collect();
    assert!(matches!(node.group.change_voters(&without, SECOND).await, Err(ChangeError::Refused { .. })));
    let voter = other.group.own();
    assert!(matches!(node.group.remove_learner(voter, SECOND).await, Err(ChangeError::Refused { .. })));
    assert_eq!(voters(&node), ids(1..=3), "nothing of that happened");
    node.group.remove_learner(RaftId(9), SECOND).await.unwrap();
    assert!(!node.group.replicas().borrow().contains(RaftId(9)));
    node.group.remove_learner(RaftId(9), SECOND).await.unwrap();
    mesh.isolate(own.0, Cut::Silent);
    let began = Instant::now();
    assert_eq!(node.group.add_learner(RaftId(8), SECOND).await, Err(ChangeError::Unconfirmed));
    assert_eq!(node.group.add_learner(RaftId(7), SECOND).await, Err(ChangeError::UnderWay));
    assert!(began.elapsed() < 3 * SECOND);
    node.group.shutdown().await;
    assert_eq!(node.group.add_learner(RaftId(8), SECOND).await, Err(ChangeError::Stopped));
}

/// A group of one that took a dead newcomer for caught up, since its log was short, had no majority any more.
#[tokio::test(start_paused = true)]
async fn whoever_is_not_there_gets_no_vote_however_short_the_log_is() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let (node, term) = leader(&mesh.found(1, &Config::default()).await).await;
    apply(&node.group, term, 1..=3, 10).await;
    let (own, next) = (node.group.own(), ids([node.group.own().0, 2]));
    node.group.add_learner(RaftId(2), SECOND).await.unwrap();
    let refused = node.group.change_voters(&next, SECOND).await;
    assert_eq!(refused, Err(ChangeError::NotHeard { replica: RaftId(2) }), "it was never there");
    let second = mesh.start(2, &Config::default()).await;
    until("it has everything", || state(&second.group) == state(&node.group)).await;
    mesh.isolate(2, Cut::Refused);
    tokio::time::sleep(SECOND).await;
    let refused = node.group.change_voters(&next, SECOND).await;
    assert_eq!(refused, Err(ChangeError::NotHeard { replica: RaftId(2) }), "it was there");
    assert_eq!(voters(&node), BTreeSet::from([own]));
    apply(&node.group, term, 4..=4, 10).await;
    mesh.heal();
    until("it is heard", || state(&second.group) == state(&node.group)).await;
    tokio::time::sleep(SECOND).await;
    node.group.change_voters(&next, SECOND).await.unwrap();
}

/// The leader is lost between the two steps of a change; the next one finishes it when it is asked again.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_interrupted_halfway_is_finished_by_asking_again() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    let mut all = nodes.clone();
    for id in 4..=5 {
        all.push(mesh.start(id, &Config::default()).await);
        node.group.add_learner(RaftId(id), SECOND).await.unwrap();
        caught_up(&node, id).await;
    }
    apply(&node.group, term, 1..=1, 10).await;
    let own = node.group.own();
    let next: BTreeSet<RaftId> = ids([own.0, 4, 5]);
    // The old voters hear of the joint configuration, the new ones do not, so it is not committed.
    mesh.cut(own.0, 4, Cut::Silent);
    mesh.cut(own.0, 5, Cut::Silent);
    assert_eq!(node.group.change_voters(&next, SECOND).await, Err(ChangeError::Unconfirmed));
    assert!(node.group.replicas().borrow().is_joint && !node.group.replicas().borrow().is_committed);
    assert_eq!(voters(&node), ids(1..=5));
    mesh.heal();
    mesh.isolate(own.0, Cut::Refused);
    node.environment.host().crash();
    let others: Vec<Node> = all.iter().filter(|other| other.group.own() != own).cloned().collect();
    let (new, after) = leader(&others).await;
    assert!(after > term);
    until("the first step is committed", || new.group.replicas().borrow().is_committed).await;
    assert!(new.group.replicas().borrow().is_joint);
    let refused = new.group.change_voters(&next, SECOND).await;
    assert!(matches!(refused, Err(ChangeError::Refused { .. })), "it would remove itself: {refused:?}");
    caught_up(&new, 4).await;
    new.group.transfer(RaftId(4)).await.unwrap();
    let fourth = &all[3..4];
    let (fourth, after) = leader(fourth).await;
    fourth.group.change_voters(&next, SECOND).await.unwrap();
    assert!(votes(&fourth.group, &next));
    apply(&fourth.group, after, 1..=1, 10).await;
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_only_to_a_voter_that_is_there_and_has_everything() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    let own = node.group.own();
    let learner = mesh.start(4, &Config::default()).await;
    node.group.add_learner(RaftId(4), SECOND).await.unwrap();
    caught_up(&node, 4).await;
    let to: Vec<RaftId> = ids(1..=3).into_iter().filter(|id| *id != own).collect();
    let not_voter = |to| Err(TransferError::NotVoter { to });
    assert_eq!(learner.group.transfer(own).await, Err(TransferError::NotLeader));
    assert_eq!(node.group.transfer(own).await, Err(TransferError::Own));
    assert_eq!(node.group.transfer(RaftId(4)).await, not_voter(RaftId(4)));
    assert_eq!(node.group.transfer(RaftId(9)).await, not_voter(RaftId(9)));
    mesh.cut(own.0, to[0].0, Cut::Silent);
    apply(&node.group, term, 1..=2, 10).await;
    assert_eq!(node.group.transfer(to[0]).await, Err(TransferError::Behind { to: to[0], lag: 2 }));
    tokio::time::sleep(SECOND).await;
    assert_eq!(node.group.transfer(to[0]).await, Err(TransferError::NotHeard { to: to[0] }));
    assert_eq!(term_of(&node.group), Some(term), "refusals change nothing");
    apply(&node.group, term, 3..=3, 10).await;
    mesh.heal();
    caught_up(&node, to[0].0).await;
    until("it is heard again", || node.group.progress().unwrap().heard_ms[&to[0]] < 300).await;
    node.group.transfer(to[0]).await.unwrap();
    let target = nodes.iter().find(|other| other.group.own() == to[0]).unwrap();
    until("it leads", || term_of(&target.group).is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_majority_that_is_gone_is_noticed_by_leader_and_followers() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, _) = leader(&nodes).await;
    tokio::time::sleep(SECOND).await;
    assert!(nodes.iter().all(|node| node.group.quorum_heard_within(SECOND)));
    let own = node.group.own().0;
    mesh.isolate(own, Cut::Silent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!node.group.quorum_heard_within(3 * SECOND));
    let others: Vec<Node> = nodes.iter().filter(|other| other.group.own().0 != own).cloned().collect();
    leader(&others).await;
    tokio::time::sleep(SECOND).await;
    assert!(others.iter().all(|node| node.group.quorum_heard_within(SECOND)));
    others.iter().for_each(|node| mesh.isolate(node.group.own().0, Cut::Refused));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!nodes.iter().any(|node| node.group.quorum_heard_within(3 * SECOND)));
    let alone = Mesh::new(2, Duration::ZERO).found(1, &Config::default()).await;
    leader(&alone).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(alone[0].group.quorum_heard_within(SECOND), "one voter is a majority");
}

/// A replica is removed, destroyed and joins again with the same id: to a candidate of the old configuration it must
/// not give the vote that elects a second leader.
#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_its_log_keeps_its_promises() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=5, 10).await;
    let gone = nodes.iter().find(|other| other.group.own() != node.group.own()).unwrap();
    until("it has everything", || state(&gone.group) == state(&node.group)).await;
    let id = gone.group.own();
    mesh.isolate(id.0, Cut::Refused);
    gone.group.shutdown().await;
    RaftGroup::destroy(&gone.store, GROUP).await.unwrap();
    let again = mesh.start_on(id.0, gone.disk.clone(), &Config::default()).await;
    assert!(!again.group.found(&ids([id.0])).await.unwrap(), "it was part of this group before");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let promised = again.group.inner.promised.unwrap();
    let ask = async |term: u64, last| {
        let vote = crate::consensus::raft::types::Vote::new(term, 77);
        let question = Question::Vote(VoteRequest::new(vote, last));
        let answer = again.group.receive(RaftId(77), encode(&question)).await;
        let answer: Result<openraft::raft::VoteResponse<crate::consensus::raft::types::Types>, String> =
            crate::codec::decode(&answer).unwrap();
        answer.is_ok_and(|answer| answer.vote_granted)
    };
    assert!(!ask(term.0 + 5, None).await, "an empty log is not enough");
    assert!(!ask(term.0, Some(promised)).await, "it voted in this term");
    assert!(ask(term.0 + 5, Some(promised)).await, "who has everything may lead");
}

#[tokio::test(start_paused = true)]
async fn a_destruction_that_was_interrupted_is_finished_when_the_group_is_opened() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(1, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=50, 10).await;
    node.group.shutdown().await;
    let open = crate::consensus::raft::grave::tests::open_grave();
    let mut batch = Batch::new();
    batch.put(crate::consensus::keys::Keys::new(GROUP).grave(), open);
    node.store.commit(batch).await.unwrap();
    let again = mesh.start_on(1, node.disk.clone(), &Config::default()).await;
    assert_eq!(state(&again.group), []);
    assert_eq!(*again.group.applied().borrow(), 0);
    assert_eq!(*again.group.replicas().borrow(), Replicas::default());
}

/// openraft does not wait for it: what was still queued there was written behind the removal, and never removed.
#[tokio::test(start_paused = true)]
async fn a_replica_has_not_stopped_before_its_state_machine_has_applied_what_waits() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(1, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=3, 10).await;
    let (go_on, held) = oneshot::channel::<()>();
    let raft = &node.group.inner.raft;
    let hold = raft.external_state_machine_request(|_| Box::pin(async move { drop(held.await) }));
    hold.await.unwrap();
    let mut news = propose(&node.group, term, 4, 10).await;
    assert_eq!(news.recv().await, Some(Progress::Committed), "its turn comes behind what is held");
    let group = node.group.clone();
    let stopping = node.environment.spawn(async move { group.shutdown().await });
    tokio::time::sleep(STOPPED_WITHIN / 2).await;
    assert!(!stopping.is_finished(), "it could be removed now");
    go_on.send(()).unwrap();
    stopping.await.unwrap();
    RaftGroup::destroy(&node.store, GROUP).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert!(!RaftGroup::has_group(&node.store, GROUP).unwrap());
}

/// openraft waits for its vote to be written, however long that takes: a node that left with a full volume used up its whole budget.
#[tokio::test(start_paused = true)]
async fn a_replica_whose_volume_is_full_is_given_up_in_time() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config::default()).await;
    let (leader, _) = leader(&nodes).await;
    let own = leader.group.own();
    let follower = nodes.iter().find(|other| other.group.own() != own).unwrap();
    follower.disk.faults().set_full(true);
    // The others have another term then, or it wants one itself.
    assert!(leader.group.shutdown().await);
    tokio::time::sleep(10 * SECOND).await;
    let stopped = tokio::time::timeout(2 * STOPPED_WITHIN, follower.group.shutdown()).await;
    assert_eq!(stopped, Ok(false), "nothing of it may be removed");
    follower.disk.faults().set_full(false);
}

/// A leader may send one that the follower has overtaken meanwhile, by the log. openraft ignores it; it lay there until the
/// next start.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_brings_nothing_new_does_not_stay() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(2, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=5, 10).await;
    let old = Applied::read(&node.store, GROUP).unwrap();
    apply(&node.group, term, 6..=9, 10).await;
    let own = node.group.own();
    let follower = nodes.iter().find(|other| other.group.own() != own).unwrap();
    until("it has everything", || state(&follower.group) == state(&node.group)).await;

    let transfer = Transfer { vote: Vote::new_committed(term.0, own.0), attempt: 0 };
    let arrived = || {
        let range = Keys::new(GROUP).generation(1);
        follower.store.keys(&range.start..&range.end, 10).unwrap().len()
    };
    let pairs = vec![(Bytes::from_static(b"key"), Bytes::from_static(b"value"))];
    let part = Question::SnapshotPairs { transfer, number: 0, pairs };
    let answer = follower.group.receive(own, encode(&part)).await;
    codec::decode::<Answer<()>>(&answer).unwrap().unwrap();
    assert_eq!(arrived(), 1);
    let end = Question::SnapshotEnd { transfer, meta: old.meta(), sequence: old.sequence, count: 1 };
    let answer = follower.group.receive(own, encode(&end)).await;
    codec::decode::<Answer<SnapshotResponse<Types>>>(&answer).unwrap().unwrap();
    assert_eq!(arrived(), 0, "nobody would ever read it");
    assert_eq!(state(&follower.group), state(&node.group));
}

/// Whether exactly `voters` vote, there are no others, and that is committed.
fn votes(group: &RaftGroup, voters: &BTreeSet<RaftId>) -> bool {
    let known = group.replicas().borrow().clone();
    let expected = Replicas {
        voters: voters.clone(),
        sets: vec![voters.clone()],
        is_committed: true,
        at: known.at,
        ..Replicas::default()
    };
    known == expected && known.at > 0
}

/// It led for ever, so nobody who sent to it, and nobody on its node, learned that there was no leader.
#[tokio::test(start_paused = true)]
async fn a_leader_without_a_majority_gives_up_and_is_elected_again_when_the_others_return() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    for other in nodes.iter().filter(|other| other.group.own() != node.group.own()) {
        mesh.isolate(other.group.own().0, Cut::Silent);
    }
    until("it knows no leader", || {
        *node.group.leadership().borrow() == Leadership::Follower { leader: None }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(term_of(&node.group), None, "it cannot come back alone");
    mesh.heal();
    assert!(leader(&nodes).await.1 > term);
}

/// Its followers heard it and elected nobody, and it heard nobody: nothing was ever committed again.
#[tokio::test(start_paused = true)]
async fn a_leader_that_speaks_but_hears_nobody_is_replaced() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    let deaf = node.group.own();
    let others: Vec<_> = nodes.iter().filter(|other| other.group.own() != deaf).cloned().collect();
    others.iter().for_each(|other| mesh.cut(other.group.own().0, deaf.0, Cut::Silent));
    let (next, later) = leader(&others).await;
    assert!(later > term);
    apply(&next.group, later, 1..=3, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_heard_leads_on() {
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    let gone = nodes.iter().find(|other| other.group.own() != node.group.own()).unwrap();
    mesh.isolate(gone.group.own().0, Cut::Silent);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(term_of(&node.group), Some(term), "one of two others is enough");
}
