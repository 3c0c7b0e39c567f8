//! What a cluster does when nothing goes wrong.

use std::time::Duration;

use playhouse_cluster::peering::Encryption;
use tokio::time::Instant;

use super::{
    checks,
    world::{Shape, World},
};

const SHAPE: Shape = Shape { nodes: 3, shards: 8, encryption: Encryption::On, log_entries_max: 1_000 };

fn simulate<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Waits until `is_so`, at most `limit` of simulated time.
async fn within(limit: Duration, is_so: impl Fn() -> bool) -> bool {
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
    let mut world = World::new(1, SHAPE);
    (0..SHAPE.nodes).for_each(|at| world.start(at));
    let is_whole = within(Duration::from_secs(60), || checks::missing_for_whole(&world).is_empty()).await;
    assert!(is_whole, "{:#?}", checks::missing_for_whole(&world));
    world
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
        world.crash(0, playhouse_cluster::store::Crash::Process, false);
        world.start(0);
        assert!(within(Duration::from_secs(30), || checks::missing_for_whole(&world).is_empty()).await);
    });
}
