//! Pools that grow and shrink.

use std::sync::Arc;

use playhouse::process::{ExitReason, PoolRef, ResizeError, Routing};

use crate::stage::{Hands, Starts, What, ask, boom, busy, done_by, hands, hands_with, until_there};

/// Returns when so many workers run, whether or not they are needed.
async fn until_running(pool: &PoolRef<Hands>, workers: usize) {
    while pool.running().await.unwrap() != workers {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_grows_begins_jobs_that_wait() {
    for routing in [Routing::Queuer, Routing::StickyQueuer] {
        let pool = hands(1).routing(routing).start().await.unwrap();
        let (_, _go) = busy(&pool, "long").await;
        let waits = ask(&pool, "short", What::Answer).await;
        pool.resize(3).await.unwrap();
        assert_ne!(waits.await.unwrap().unwrap().place, 0);
        until_there(&pool, 3).await;
        pool.stop_and_wait().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_shrinks_lets_workers_end_their_jobs() {
    let pool = hands(3).routing(Routing::RoundRobin).start().await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(busy(&pool, "").await);
    }
    let waits: Vec<_> = [ask(&pool, "", What::Answer).await, ask(&pool, "", What::Answer).await].into();
    pool.resize(1).await.unwrap();
    assert_eq!(pool.running().await.unwrap(), 3, "all are at a job");
    for (call, go) in calls {
        drop(go);
        assert!(call.await.unwrap().is_ok());
    }
    for call in waits {
        assert!(call.await.unwrap().is_ok(), "what waited for a worker that leaves is done");
    }
    until_running(&pool, 1).await;
    assert_eq!((done_by(&pool, "").await, done_by(&pool, "").await), (0, 0));
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_to_leave_and_crashes_is_not_replaced_for_long() {
    let pool = hands(2).routing(Routing::RoundRobin).start().await.unwrap();
    let (_, go) = busy(&pool, "").await;
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (crash, crashes) = tokio::sync::oneshot::channel();
    let held = ask(&pool, "", What::Wait(begun, crashes)).await;
    begins.await.unwrap();
    let next = ask(&pool, "", What::Answer).await;
    let last = ask(&pool, "", What::Crash).await;
    pool.resize(1).await.unwrap();
    drop((crash, go));
    assert!(held.await.unwrap().is_ok() && next.await.unwrap().is_ok());
    assert_eq!(last.await.unwrap(), Err(boom()));
    until_running(&pool, 1).await;
    until_there(&pool, 1).await;
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_may_shrink_and_grow_while_its_workers_are_at_jobs() {
    let pool = hands(4).start().await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(busy(&pool, "").await);
    }
    for size in [1, 3, 2, 6] {
        pool.resize(size).await.unwrap();
    }
    until_there(&pool, 6).await;
    assert_eq!(pool.running().await.unwrap(), 6, "those that were to leave stay");
    for (call, go) in calls {
        drop(go);
        assert!(call.await.unwrap().is_ok());
    }
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_has_at_least_one_worker() {
    let pool = hands(0).start().await.unwrap();
    assert_eq!(pool.resize(0).await, Err(ResizeError::Empty));
    assert_eq!(done_by(&pool, "").await, 0);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_grow_says_so_and_goes_on() {
    let starts = Starts { started: Arc::default(), starts_max: 2 };
    let pool = hands_with(1, &starts).start().await.unwrap();
    let failed = pool.resize(4).await;
    assert_eq!(failed, Err(ResizeError::Start(ExitReason::Crashed("no hands left".to_owned()))));
    until_there(&pool, 2).await;
    for _ in 0..8 {
        done_by(&pool, "").await;
    }
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_does_not_disturb_another() {
    // The one that would be at the last place does not start.
    let starts = Starts { started: Arc::default(), starts_max: 4 };
    let pool = hands_with(1, &starts).routing(Routing::RoundRobin).start().await.unwrap();
    let (grown, shrunk) = tokio::join!(pool.resize(5), pool.resize(2));
    assert!(matches!(grown, Err(ResizeError::Start(_))), "{grown:?}");
    shrunk.unwrap();
    until_there(&pool, 2).await;
    for place in [0, 1, 0, 1] {
        assert_eq!(done_by(&pool, "").await, place, "each place has a worker");
    }
    pool.stop_and_wait().await;
}
