//! Whole clusters in one process, from one seed.

#[path = "simulation/world.rs"]
mod world;

use std::time::Duration;

use playhouse::protocol::{Body, EntityId, Request, RequestId};
use world::World;

fn simulate<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

async fn add(world: &World, at: usize, key: &str) -> Result<String, String> {
    let router = world.router(at).ok_or("it does not run")?;
    let request = Request {
        target: EntityId::new("counter", key).unwrap(),
        body: Body::json(r#"{"add": 1}"#),
        request_id: RequestId::random(router.environment()),
        idempotency_key: None,
        timeout: Duration::from_secs(10),
        trace: None,
    };
    let reply = router.call(request).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&reply.body).into_owned())
}

#[test]
fn three_nodes_form_one_cluster_and_any_of_them_answers() {
    simulate(async {
        let mut world = World::new(1, 3, 8);
        (0..3).for_each(|at| world.start(at));
        let formed =
            world.wait(Duration::from_secs(60), |world| (0..3).all(|at| world.router(at).is_some())).await;
        let refusals: Vec<_> = (0..3).map(|at| world.refusal(at)).collect();
        assert!(formed, "{refusals:?}");
        let reach = |world: &World| (0..3).all(|at| world.with(at, |node| node.has_reached()) == Some(true));
        assert!(world.wait(Duration::from_secs(60), reach).await);
        let spread = |world: &World| {
            let led: Vec<_> = (0..3).map(|at| world.router(at).unwrap().led_shards()).collect();
            led.iter().sum::<usize>() == 8 && led.iter().all(|led| (2..=3).contains(led))
        };
        let is_spread = world.wait(Duration::from_secs(60), spread).await;
        let led: Vec<_> = (0..3).map(|at| world.router(at).unwrap().led_shards()).collect();
        assert!(is_spread, "{led:?}");
        for at in 0..3 {
            for key in ["a", "b", "c", "d"] {
                let value = add(&world, at, key).await.unwrap();
                assert_eq!(value, format!(r#"{{"value":{}}}"#, at + 1));
            }
        }
    });
}
