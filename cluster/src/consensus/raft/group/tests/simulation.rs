//! Runs that can be replayed, and hosts that stand still or die.

use super::mesh::*;
use crate::consensus::raft::group::*;
use crate::store::Crash;
use std::time::Duration;

/// What every replica believed, sample by sample.
type Trace = Vec<Vec<(Leadership, u64)>>;

/// A minute of three replicas whose network is cut and healed at random.
async fn run(seed: u64) -> Trace {
    let chance = Environment::simulated(seed);
    let mesh = Mesh::new(chance.random_u64(), Duration::from_millis(20));
    let nodes = mesh.found(3, &Config::default()).await;
    let mut trace = Trace::new();
    let mut proposed = BTreeMap::<Term, u64>::new();
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match chance.random_u64() % 40 {
            0 => mesh.isolate(1 + chance.random_u64() % 3, Cut::Silent),
            1 => mesh.isolate(1 + chance.random_u64() % 3, Cut::Refused),
            2 => mesh.heal(),
            _ => {}
        }
        for node in &nodes {
            if let Some(term) = term_of(&node.group) {
                let number = proposed.entry(term).or_default();
                *number += 1;
                drop(propose(&node.group, term, *number, 10).await);
            }
        }
        trace.push(nodes.iter().map(|node| (*node.group.leadership().borrow(), applied(node))).collect());
    }
    trace
}

fn applied(node: &Node) -> u64 {
    *node.group.applied().borrow()
}

fn simulate(seed: u64) -> Trace {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run(seed))
}

fn leaders(trace: &Trace) -> BTreeSet<u64> {
    let all = trace.iter().flatten();
    all.filter_map(|(leadership, _)| match leadership {
        Leadership::Leader { term } => Some(term.0),
        _ => None,
    })
    .collect()
}

#[test]
fn one_seed_always_runs_the_same_way_and_another_seed_another_way() {
    let first = simulate(1);
    assert_eq!(first, simulate(1));
    assert_ne!(first, simulate(2));
    assert!(leaders(&first).len() > 1, "the cuts moved leadership: {:?}", leaders(&first));
    assert!(first.last().unwrap().iter().any(|(_, applied)| *applied > 50), "and work was done");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_is_replaced_and_reads_nothing_stale_when_it_thaws() {
    let mesh = Mesh::new(1, Duration::from_millis(2));
    let nodes = mesh.found(3, &Config::default()).await;
    let (old, term) = leader(&nodes).await;
    apply(&old.group, term, 1..=3, 10).await;
    old.environment.host().freeze();
    let others: Vec<Node> =
        nodes.iter().filter(|node| node.group.own() != old.group.own()).cloned().collect();
    let (new, next) = leader(&others).await;
    assert!(next > term);
    apply(&new.group, next, 1..=1, 20).await;
    let barrier = {
        let group = old.group.clone();
        old.environment.spawn(async move { group.read_barrier(term).await })
    };
    assert_eq!(term_of(&old.group), Some(term), "it does not know yet");
    old.environment.host().thaw();
    assert_eq!(barrier.await.unwrap(), Err(ProposeError::NotCommitted));
    until("the old leader follows", || term_of(&old.group).is_none()).await;
    until("it has what it missed", || state(&old.group) == state(&new.group)).await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_leaves_no_task_and_is_replaced() {
    let mesh = Mesh::new(1, Duration::from_millis(2));
    let nodes = mesh.found(3, &Config::default()).await;
    let (old, term) = leader(&nodes).await;
    apply(&old.group, term, 1..=3, 10).await;
    assert!(old.environment.host().tasks() > 5, "openraft's tasks are there, too");
    old.environment.host().crash();
    mesh.forget(old.group.own().0);
    let others: Vec<Node> =
        nodes.iter().filter(|node| node.group.own() != old.group.own()).cloned().collect();
    let (new, next) = leader(&others).await;
    assert!(next > term);
    assert_eq!(old.environment.host().tasks(), 0);
    apply(&new.group, next, 1..=1, 10).await;
    let disk = old.disk.crash(Crash::LoseUnsynced);
    let again = mesh.start_on(old.group.own().0, disk, &Config::default()).await;
    until("it has everything again", || state(&again.group) == state(&new.group)).await;
}
