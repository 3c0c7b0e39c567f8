//! Replicas that begin with a copy, and groups that go on with one replica.

use std::time::Duration;

use super::{
    super::super::{LogPosition, PointInTime, Recovery, Restoration, Survivor},
    *,
};
use crate::{consensus::keys::Keys, store};

/// Everything of a copy, read in small parts.
fn read(copy: &PointInTime) -> Pairs {
    let mut all = Pairs::new();
    loop {
        let some = copy.read(all.last().map(|(key, _)| key), 7, 500).unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The disk of a replica that was shut down, and a store on it that no replica uses.
async fn stopped(node: &Node) -> Store {
    node.group.shutdown().await;
    Store::start(node.disk.clone(), &node.environment, store::Config::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_copy_does_not_change_and_another_group_begins_with_it() {
    let mesh = mesh();
    let (node, term) = leader(&mesh.found(1, &config()).await).await;
    apply(&node.group, term, 1..=40, 100).await;
    node.group.read_barrier(term).await.unwrap();
    let copy = node.group.point_in_time().unwrap();
    let before = state(&node.group);
    apply(&node.group, term, 41..=50, 100).await;
    assert_eq!(read(&copy), before, "what came later is not part of it");
    assert_eq!(copy.position().term, term.0);
    assert!(copy.position().index >= 40);

    // Elsewhere, under another id.
    let disk = store::Memory::new();
    let environment = Environment::simulated(7);
    let store = Store::start(disk.clone(), &environment, store::Config::default()).unwrap();
    let mut restoration = Restoration::begin(&store, GROUP).unwrap();
    for (key, value) in read(&copy) {
        restoration.put(&key, value).await.unwrap();
    }
    restoration.finish(RaftId(9), copy.position()).await.unwrap();
    assert!(Restoration::begin(&store, GROUP).is_err(), "it is there now");
    let other = Mesh::new(2, Duration::ZERO);
    let restored = other.start_on(9, disk, &config()).await;
    let (restored, later) = leader(&[restored]).await;
    assert!(later > term, "{later:?} after {term:?}");
    assert_eq!(state(&restored.group), before);

    // Others get a replica of it, and it goes on.
    let second = other.start(10, &config()).await;
    restored.group.add_learner(RaftId(10), Duration::from_secs(1)).await.unwrap();
    apply(&restored.group, later, 1..=5, 10).await;
    until("it has everything", || state(&second.group) == state(&restored.group)).await;
}

#[tokio::test(start_paused = true)]
async fn one_replica_of_three_goes_on_with_all_that_it_has_and_gets_new_ones() {
    let mesh = mesh();
    let nodes = mesh.found(3, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=20, 100).await;
    let survivor = nodes.iter().find(|other| other.group.own() != node.group.own()).unwrap().clone();
    until("it has everything", || state(&survivor.group) == state(&node.group)).await;
    let (before, own) = (state(&survivor.group), survivor.group.own());
    for lost in &nodes {
        mesh.forget(lost.group.own().0);
        lost.group.shutdown().await;
    }

    let store = stopped(&survivor).await;
    assert!(Recovery::open(&store, GroupId(77)).unwrap().is_none(), "there is no such group");
    let recovery = Recovery::open(&store, GROUP).unwrap().unwrap();
    let found = recovery.survivor().clone();
    assert_eq!(found.voters, [ids(1..=3)]);
    assert!(found.votes(own) && !found.votes(RaftId(4)));
    assert!(found.is_lost_without(&ids([1, 2])) && !found.is_lost_without(&ids([2, 4])));
    assert!(found.committed <= found.last && found.applied <= found.last, "{found:?}");
    assert_eq!(found.last.term, term.0);
    assert_eq!(recovery.latest(&20_u64.to_be_bytes()).unwrap().unwrap().len(), 100);
    let (mut changes, mut batch) = (Batch::new(), Batch::new());
    changes.put(99_u64.to_be_bytes().to_vec(), &b"after the loss"[..]);
    recovery.write(own, &changes, &mut batch).unwrap();
    drop(recovery);
    assert_eq!(Recovery::open(&store, GROUP).unwrap().unwrap().survivor(), &found, "nothing is written");
    store.commit(batch).await.unwrap();
    let again = Recovery::open(&store, GROUP).unwrap().unwrap();
    assert_eq!(again.survivor().voters, [BTreeSet::from([own])]);
    assert!(again.survivor().went_on_from(own, found.last.index));
    assert!(!found.went_on_from(own, found.last.index), "it was only asked");
    assert!(!again.survivor().went_on_from(RaftId(4), found.last.index), "another one is alone");
    assert_eq!(again.latest(&99_u64.to_be_bytes()).unwrap().unwrap(), "after the loss");

    let survivor = mesh.start_on(own.0, survivor.disk.clone(), &config()).await;
    let (survivor, later) = leader(&[survivor]).await;
    assert!(later.0 > term.0 + (1 << 32), "{later:?}");
    let replicas = survivor.group.replicas().borrow().clone();
    assert!(replicas.voters.iter().eq([&own]) && replicas.learners.is_empty(), "{replicas:?}");
    let after = state(&survivor.group);
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.last().unwrap().1, "after the loss");
    let fourth = mesh.start(4, &config()).await;
    survivor.group.add_learner(RaftId(4), Duration::from_secs(1)).await.unwrap();
    apply(&survivor.group, later, 1..=5, 10).await;
    until("it has everything", || state(&fourth.group) == state(&survivor.group)).await;
    assert!(first_entry(&survivor).is_some_and(|index| index < 1 << 32), "what is left of the old log");
    survivor.group.snapshot().await.unwrap();
    until("it is removed", || first_entry(&survivor).is_none_or(|index| index > 1 << 32)).await;
}

/// The index of the first entry on disk, whether it still counts or not.
fn first_entry(node: &Node) -> Option<u64> {
    let range = Keys::new(GROUP).log();
    let first = node.store.keys(&range.start..&range.end, 1).unwrap();
    first.first().and_then(|key| Keys::index(key))
}

/// A replica with a log that was never committed as far as it knows keeps it: it may have been acknowledged.
#[tokio::test(start_paused = true)]
async fn what_nobody_confirmed_is_kept() {
    let mesh = mesh();
    let nodes = mesh.found(2, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=3, 10).await;
    mesh.isolate(node.group.own().0, Cut::Refused);
    let unheard = propose(&node.group, term, 4, 10).await;
    until("it is in the log", || node.group.progress().is_none_or(|progress| progress.last_log >= 5)).await;
    let own = node.group.own();
    mesh.forget(own.0);
    let store = stopped(&node).await;
    assert!(!heard(unheard).await.contains(&Progress::Committed));
    let recovery = Recovery::open(&store, GROUP).unwrap().unwrap();
    assert!(recovery.survivor().last > recovery.survivor().committed, "{:?}", recovery.survivor());
    let (kept, unheard) = (3_u64.to_be_bytes(), 4_u64.to_be_bytes());
    assert_eq!(recovery.confirmed(&kept).unwrap(), recovery.latest(&kept).unwrap());
    assert_eq!(recovery.confirmed(&unheard).unwrap(), None, "a group that lives may still drop it");
    assert_eq!(recovery.latest(&unheard).unwrap().unwrap().len(), 10);
    drop(recovery);
    recover(&store, own).await;
    drop(store);
    let (survivor, _) = leader(&[mesh.start_on(own.0, node.disk.clone(), &config()).await]).await;
    assert_eq!(survivor.group.get(&unheard).unwrap().unwrap().len(), 10);
}

/// Makes `own` the only voter; nothing runs on `store`.
async fn recover(store: &Store, own: RaftId) {
    let recovery = Recovery::open(store, GROUP).unwrap().unwrap();
    let kept = recovery.survivor().last.index;
    let mut batch = Batch::new();
    recovery.write(own, &Batch::new(), &mut batch).unwrap();
    store.commit(batch).await.unwrap();
    let again = Recovery::open(store, GROUP).unwrap().unwrap();
    assert_eq!(again.survivor().last.index, kept + (1 << 32), "no log of another replica reaches it");
    assert_eq!(again.survivor().voters, [BTreeSet::from([own])]);
}

/// A replica of the old group learns from the recovered one, votes, and leads. `from` is the next number to be proposed.
async fn takes_over(mesh: &Arc<Mesh>, survivor: &Node, (term, from): (Term, u64), other: &Node) {
    let (own, fresh) = (other.group.own(), RaftId(9));
    mesh.start(fresh.0, &config()).await;
    for learner in [own, fresh] {
        survivor.group.add_learner(learner, Duration::from_secs(1)).await.unwrap();
    }
    until("it takes the state", || state(&other.group) == state(&survivor.group)).await;
    assert!(other.group.inner.state().unwrap().generation() > 0, "it came as a snapshot");
    apply(&survivor.group, term, from..=from + 4, 7).await;
    let lacks = |learner| survivor.group.progress().unwrap().lag(learner);
    until("both have the log", || lacks(own) == 0 && lacks(fresh) == 0).await;
    let voters = BTreeSet::from([survivor.group.own(), own, fresh]);
    survivor.group.change_voters(&voters, Duration::from_secs(5)).await.unwrap();
    until("it may lead", || survivor.group.check_transfer(own).is_ok()).await;
    survivor.group.transfer(own).await.unwrap();
    let (next, later) = leader(std::slice::from_ref(other)).await;
    apply(&next.group, later, 1..=3, 5).await;
    until("all agree", || state(&survivor.group) == state(&other.group)).await;
}

/// A follower does not compare what it has committed with what a leader sends. Entries directly behind the log of the survivor
/// were taken for those that it had at the same places.
#[tokio::test(start_paused = true)]
async fn a_replica_that_was_ahead_of_the_survivor_takes_its_state() {
    let mesh = mesh();
    let nodes = mesh.found(5, &config()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=20, 100).await;
    let mut others = nodes.iter().filter(|other| other.group.own() != node.group.own());
    let (survivor, ahead) = (others.next().unwrap().clone(), others.next().unwrap().clone());
    until("it has everything", || state(&survivor.group) == state(&node.group)).await;
    let (own, other) = (survivor.group.own(), ahead.group.own());
    mesh.isolate(own.0, Cut::Refused);
    apply(&node.group, term, 21..=40, 100).await;
    until("the other is ahead", || state(&ahead.group) == state(&node.group)).await;
    for lost in nodes.iter().filter(|lost| lost.group.own() != other) {
        mesh.forget(lost.group.own().0);
        lost.group.shutdown().await;
    }

    recover(&stopped(&survivor).await, own).await;
    mesh.heal();
    let survivor = mesh.start_on(own.0, survivor.disk.clone(), &config()).await;
    let (survivor, later) = leader(&[survivor]).await;
    assert_eq!(state(&survivor.group).len(), 20);
    apply(&survivor.group, later, 1..=30, 7).await;
    assert_eq!(state(&ahead.group).len(), 40, "it never hears of the survivor by itself");
    takes_over(&mesh, &survivor, (later, 31), &ahead).await;
    assert_eq!(state(&ahead.group).len(), 35);
}

/// A leader that was cut off has entries that nobody committed, at places where the others have different ones.
#[tokio::test(start_paused = true)]
async fn a_replica_with_a_conflicting_tail_takes_the_state_of_the_survivor() {
    let mesh = mesh();
    let nodes = mesh.found(5, &config()).await;
    let (behind, term) = leader(&nodes).await;
    apply(&behind.group, term, 1..=20, 100).await;
    let other = behind.group.own();
    mesh.isolate(other.0, Cut::Refused);
    for number in 21..=28 {
        drop(propose(&behind.group, term, number, 3).await);
    }
    let rest: Vec<_> = nodes.iter().filter(|node| node.group.own() != other).cloned().collect();
    let (node, later) = leader(&rest).await;
    apply(&node.group, later, 1..=25, 50).await;
    let survivor = rest.iter().find(|one| one.group.own() != node.group.own()).unwrap().clone();
    until("it has everything", || state(&survivor.group) == state(&node.group)).await;
    for lost in &nodes {
        mesh.forget(lost.group.own().0);
        lost.group.shutdown().await;
    }
    let tail = Recovery::open(&stopped(&behind).await, GROUP).unwrap().unwrap().survivor().clone();
    assert!(tail.last.index >= tail.committed.index + 8 && tail.last.term == term.0, "{tail:?}");
    let own = survivor.group.own();
    recover(&stopped(&survivor).await, own).await;

    mesh.heal();
    let behind = mesh.start_on(other.0, behind.disk.clone(), &config()).await;
    let survivor = mesh.start_on(own.0, survivor.disk.clone(), &config()).await;
    let (survivor, later) = leader(&[survivor]).await;
    apply(&survivor.group, later, 1..=10, 7).await;
    takes_over(&mesh, &survivor, (later, 11), &behind).await;
    assert_eq!(behind.group.get(&21_u64.to_be_bytes()).unwrap().unwrap().len(), 50);
    assert_eq!(behind.group.get(&28_u64.to_be_bytes()).unwrap(), None, "nobody committed it");
}

/// To look finished the destruction, without consent.
#[tokio::test(start_paused = true)]
async fn a_replica_whose_destruction_was_interrupted_is_none_and_a_look_leaves_it_as_it_is() {
    let mesh = mesh();
    let (node, term) = leader(&mesh.found(1, &config()).await).await;
    apply(&node.group, term, 1..=5, 10).await;
    let store = stopped(&node).await;
    assert!(Recovery::open(&store, GROUP).unwrap().is_some());
    let mut interrupted = Batch::new();
    interrupted.put(Keys::new(GROUP).grave(), crate::consensus::raft::grave::tests::open_grave());
    store.commit(interrupted).await.unwrap();
    let everything = || store.scan(&b""[..]..&[0xff; 8][..], 1_000).unwrap();
    let before = everything();
    assert!(Recovery::open(&store, GROUP).unwrap().is_none());
    assert_eq!(everything(), before);
    assert!(RaftGroup::has_group(&store, GROUP).unwrap(), "the next start removes it");
}

/// While voters are changed both sets have to agree.
#[test]
fn a_group_is_lost_when_one_of_its_sets_of_voters_is() {
    let at = LogPosition::default();
    let voters = vec![ids(1..=3), ids(3..=5)];
    let survivor = Survivor { applied: at, committed: at, last: at, voters };
    assert!(survivor.is_lost_without(&ids([4, 5])) && survivor.is_lost_without(&ids([1, 2])));
    assert!(!survivor.is_lost_without(&ids([1, 4])));
    assert!(survivor.votes(RaftId(5)));
}

#[test]
fn positions_are_ordered_by_term_first() {
    assert!(LogPosition { term: 2, index: 1 } > LogPosition { term: 1, index: 9 });
}
