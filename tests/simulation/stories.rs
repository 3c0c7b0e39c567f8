//! What a cluster does when nothing goes wrong, and when one thing does.

use std::time::Duration;

use playhouse::{
    kinds::{Counter, counter},
    protocol::Key,
    router::EntityRef,
};
use playhouse_cluster::{peering::Encryption, store::Crash};
use tokio::time::Instant;

use super::{
    checks,
    world::{Shape, World},
};

pub const SHAPE: Shape = Shape { nodes: 3, shards: 8, encryption: Encryption::On, log_entries_max: 1_000 };

pub fn simulate<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Waits until `is_so`, at most `limit` of simulated time.
pub async fn within(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

async fn whole() -> World {
    whole_of(World::new(1, SHAPE)).await
}

pub async fn whole_of(mut world: World) -> World {
    (0..SHAPE.nodes).for_each(|at| world.start(at));
    let is_whole = within(Duration::from_secs(60), || checks::missing_for_whole(&world).is_empty()).await;
    assert!(is_whole, "{:#?}", checks::missing_for_whole(&world));
    world
}

/// Each new replica once waited a second to become a voter, and the next ones until the steward happened to look: eight in a
/// second, so a cluster of a thousand shards was whole after four minutes.
#[test]
fn a_new_cluster_has_all_its_replicas_soon() {
    simulate(async {
        let began = Instant::now();
        drop(whole_of(World::new(1, Shape { shards: 64, ..SHAPE })).await);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}

fn led(world: &World) -> Vec<usize> {
    let led = |at| world.with(at, |node| node.router().led_shards()).unwrap_or_default();
    (0..SHAPE.nodes).map(led).collect()
}

#[test]
fn a_new_cluster_spreads_its_leaders() {
    simulate(async {
        let world = whole().await;
        let is_spread = || led(&world).iter().all(|led| (2..=3).contains(led));
        assert!(within(Duration::from_secs(60), is_spread).await, "{:?}", led(&world));
    });
}

/// Who leads the system group, and in which term.
fn system(world: &World) -> Option<(usize, u64)> {
    let led = |at| Some((at, world.with(at, |node| node.report().system)??.term));
    (0..SHAPE.nodes).filter_map(led).max_by_key(|(_, term)| *term)
}

/// Each node that started again once took itself for the only voter of the system group, before it had read who votes, and began an election that
/// cost its leader the term.
#[test]
fn a_node_that_starts_again_disturbs_no_leader() {
    simulate(async {
        let mut world = whole().await;
        let (leader, term) = system(&world).expect("somebody leads it");
        let other = (leader + 1) % SHAPE.nodes;
        world.crash(other, Crash::Process, false);
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.start(other);
        let is_whole = || checks::missing_for_whole(&world).is_empty();
        assert!(within(Duration::from_secs(30), is_whole).await, "{:#?}", checks::missing_for_whole(&world));
        assert_eq!(system(&world), Some((leader, term)));
    });
}

/// The link and its services held each other, so a node that left waited in vain for its files to be released.
#[test]
fn a_node_that_leaves_is_gone_at_once_and_leads_nothing() {
    simulate(async {
        let mut world = whole().await;
        world.leave(0);
        let is_gone = within(Duration::from_secs(3), || world.ended(0).is_some()).await;
        assert!(is_gone, "it still holds its volume");
        assert_eq!(
            led(&world).iter().sum::<usize>(),
            usize::from(SHAPE.shards),
            "no shard waits for an election"
        );
        world.crash(0, Crash::Process, false);
        world.start(0);
        assert!(within(Duration::from_secs(30), || checks::missing_for_whole(&world).is_empty()).await);
    });
}

/// It waited for its disk for ever then, also when the disk answered again: the store had failed.
#[test]
fn a_node_whose_disk_hangs_while_it_leaves_is_gone_all_the_same() {
    simulate(async {
        let mut world = whole().await;
        world.hosts[0].memory.faults().set_latency(Duration::from_secs(3_600));
        // Its disk has work now.
        drop(tokio::time::timeout(Duration::from_secs(1), add_everywhere(&world, 1)).await);
        world.leave(0);
        let is_gone = within(Duration::from_secs(20), || world.ended(0).is_some()).await;
        assert!(is_gone, "it still holds its volume");
        world.hosts[0].memory.faults().set_latency(Duration::ZERO);
        world.crash(0, Crash::LoseUnsynced, false);
        world.start(0);
        assert!(within(Duration::from_secs(60), || checks::missing_for_whole(&world).is_empty()).await);
    });
}

const COUNTERS: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

/// Adds one to counters of all shards, through one node; what was acknowledged.
async fn add_everywhere(world: &World, through: usize) -> Vec<Option<i64>> {
    let router = world.with(through, |node| node.router().clone()).expect("it serves");
    let counters = COUNTERS.map(|key| {
        let counter = EntityRef::<Counter>::new(router.clone(), Key::new(key).expect("it is a key"));
        async move { counter.call(&counter::Command::Add(1)).await.ok().map(|reply| reply.value) }
    });
    futures_util::future::join_all(counters).await
}

/// A leader whose disk hangs sends heartbeats all the same, so nobody else would be elected.
#[test]
fn a_disk_that_hangs_costs_a_node_its_leaderships_and_no_acknowledged_effect() {
    simulate(async {
        let mut world = whole().await;
        assert!(add_everywhere(&world, 0).await.iter().all(|value| *value == Some(1)));
        world.hosts[0].memory.faults().set_latency(Duration::from_secs(3_600));
        let begin = Instant::now();
        // Its disk has work now. What is answered, the disks of the two others have.
        drop(tokio::time::timeout(Duration::from_secs(2), add_everywhere(&world, 1)).await);

        let others_lead = || led(&world)[1..].iter().sum::<usize>() == usize::from(SHAPE.shards);
        assert!(within(Duration::from_secs(10), others_lead).await, "{:?}", led(&world));
        assert!(begin.elapsed() > Duration::from_secs(5), "given up too early: {:?}", begin.elapsed());
        let reason = world.ended(0).expect("the node tells that it cannot go on");
        assert!(reason.contains("a sync has not returned"), "{reason}");
        assert!(world.with(0, playhouse::node::Node::has_lost_store).expect("it waits to be ended"));

        // Added to before, perhaps by the one that nobody waited for, and now.
        let values = add_everywhere(&world, 2).await;
        assert!(values.iter().all(|value| matches!(value, Some(2 | 3))), "{values:?}");
        world.hosts[0].memory.faults().set_latency(Duration::ZERO);
        world.crash(0, Crash::LoseUnsynced, false);
        world.start(0);
        assert!(within(Duration::from_secs(60), || checks::missing_for_whole(&world).is_empty()).await);
        let again = add_everywhere(&world, 0).await;
        assert!(again.iter().zip(&values).all(|(now, before)| *now == before.map(|it| it + 1)), "{again:?}");
    });
}
