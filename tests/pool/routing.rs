//! Who does which job.

use playhouse::process::Routing;

use crate::stage::{Done, What, ask, busy, done_by, hands};

#[tokio::test(start_paused = true)]
async fn a_queuer_gives_the_next_job_to_whoever_is_free() {
    let pool = hands(2).start().await.unwrap();
    let (call, go) = busy(&pool, "long").await;
    for _ in 0..3 {
        assert_eq!(done_by(&pool, "short").await, 1, "the first one is busy");
    }
    drop(go);
    assert_eq!(call.await.unwrap().unwrap(), Done { place: 0, before: 0 });
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn round_robin_gives_jobs_in_turn() {
    let pool = hands(3).routing(Routing::RoundRobin).start().await.unwrap();
    for expected in [0, 1, 2, 0, 1, 2] {
        assert_eq!(done_by(&pool, "any").await, expected);
    }
    let (_call, go) = busy(&pool, "any").await;
    assert_eq!((done_by(&pool, "any").await, done_by(&pool, "any").await), (1, 2));
    let waits = ask(&pool, "any", What::Answer).await;
    assert_eq!(pool.stats().await.unwrap().waiting, 1, "it waits for its worker, though others are free");
    drop(go);
    assert_eq!(waits.await.unwrap().unwrap().place, 0);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_persistent_key_has_one_worker() {
    let pool = hands(4).routing(Routing::KeyPersistent).start().await.unwrap();
    let mut used = std::collections::BTreeSet::new();
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let place = done_by(&pool, key).await;
        for _ in 0..3 {
            assert_eq!(done_by(&pool, key).await, place);
        }
        used.insert(place);
    }
    assert!(used.len() > 1, "keys are spread");
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_persistent_key_keeps_its_worker_until_nothing_of_it_waits() {
    let pool = hands(1).routing(Routing::KeyPersistent).start().await.unwrap();
    let (first, go) = busy(&pool, "a").await;
    let second = ask(&pool, "a", What::Answer).await;
    pool.resize(8).await.unwrap();
    let third = ask(&pool, "a", What::Answer).await;
    drop(go);
    let done = [first.await.unwrap().unwrap(), second.await.unwrap().unwrap(), third.await.unwrap().unwrap()];
    assert_eq!(done, [0, 1, 2].map(|before| Done { place: 0, before }), "one after the other, in order");
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_sticky_key_is_worked_at_by_one_at_a_time() {
    let pool = hands(2).routing(Routing::StickyQueuer).start().await.unwrap();
    let (first, go) = busy(&pool, "a").await;
    let second = ask(&pool, "a", What::Answer).await;
    assert_eq!(pool.stats().await.unwrap().waiting, 1, "it waits, though a worker is free");
    assert_eq!(done_by(&pool, "b").await, 1, "other keys overtake it");
    drop(go);
    assert_eq!(first.await.unwrap().unwrap().place, 0);
    assert_eq!(second.await.unwrap().unwrap(), Done { place: 0, before: 1 });
    pool.stop_and_wait().await;
}

/// Found by a property: nobody took a job whose key was left by a worker that was to leave.
#[tokio::test(start_paused = true)]
async fn a_sticky_key_that_is_left_goes_to_whoever_is_free() {
    let pool = hands(2).routing(Routing::StickyQueuer).start().await.unwrap();
    let (stays, go_on) = busy(&pool, "b").await;
    let (leaves, go) = busy(&pool, "a").await;
    let waits = ask(&pool, "a", What::Answer).await;
    drop(go_on);
    assert_eq!(stays.await.unwrap().unwrap().place, 0);
    pool.resize(1).await.unwrap();
    assert_eq!(pool.stats().await.unwrap().waiting, 1);
    drop(go);
    assert_eq!(leaves.await.unwrap().unwrap().place, 1);
    assert_eq!(waits.await.unwrap().unwrap().place, 0);
    pool.stop_and_wait().await;
}
