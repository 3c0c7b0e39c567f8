//! How many jobs may wait, and what happens to one too many.

use playhouse::process::{CallError, Overflow, PoolRef};
use playhouse_cluster::environment::spawn_here;

use crate::stage::{Hands, Job, LONG, SECOND, What, ask, busy, hands};

#[tokio::test(start_paused = true)]
async fn a_job_too_many_is_refused() {
    let pool = hands(1).jobs_max(2, Overflow::Refuse).start().await.unwrap();
    let (_, go) = busy(&pool, "").await;
    let waiting = [ask(&pool, "", What::Answer).await, ask(&pool, "", What::Answer).await];
    let refused = pool.call(Job { key: "", what: What::Answer }, LONG).await;
    assert_eq!(refused, Err(CallError::Full));
    assert_eq!(pool.stats().await.unwrap().refused, 1);
    drop(go);
    for call in waiting {
        assert!(call.await.unwrap().is_ok(), "those that were there before are done");
    }
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_job_makes_room_if_that_is_the_policy() {
    let pool = hands(1).jobs_max(2, Overflow::DropOldest).start().await.unwrap();
    let (_, go) = busy(&pool, "").await;
    let oldest = ask(&pool, "", What::Answer).await;
    let others = [ask(&pool, "", What::Answer).await, ask(&pool, "", What::Answer).await];
    assert_eq!(oldest.await.unwrap(), Err(CallError::Full), "at once");
    drop(go);
    for call in others {
        assert!(call.await.unwrap().is_ok());
    }
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_may_let_nobody_wait() {
    let pool = hands(1).jobs_max(0, Overflow::Refuse).start().await.unwrap();
    assert!(pool.call(Job { key: "", what: What::Answer }, SECOND).await.is_ok());
    let (_, _go) = busy(&pool, "").await;
    let refused = pool.call(Job { key: "", what: What::Answer }, SECOND).await;
    assert_eq!(refused, Err(CallError::Full));
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_is_not_begun_whose_caller_has_given_up() {
    let pool = hands(1).start().await.unwrap();
    let (call, go) = busy(&pool, "").await;
    let gave_up = pool.call(Job { key: "", what: What::Crash }, SECOND).await;
    assert_eq!(gave_up, Err(CallError::Timeout));
    let last = ask(&pool, "", What::Answer).await;
    drop(go);
    assert!(call.await.unwrap().is_ok());
    assert_eq!(last.await.unwrap().unwrap().before, 1, "the worker did not crash");
    assert_eq!(pool.stats().await.unwrap().abandoned, 1);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_nobody_waits_for_are_counted() {
    let pool = hands(1).jobs_max(1, Overflow::Refuse).start().await.unwrap();
    pool.cast(Job { key: "", what: What::Answer }).unwrap();
    assert_eq!(pool.stats().await.unwrap().refused, 0);
    while pool.stats().await.unwrap().done == 0 {
        tokio::task::yield_now().await;
    }
    let (_, _go) = busy(&pool, "").await;
    for _ in 0..2 {
        pool.cast(Job { key: "", what: What::Answer }).unwrap();
        pool.stats().await.unwrap();
    }
    let stats = pool.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.refused), (1, 1));
    pool.stop_and_wait().await;
}

/// What the desk has not yet seen is bounded, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_of_a_flood_ends_and_no_more_wait_than_may() {
    let pool = hands(2).jobs_max(50, Overflow::Refuse).start().await.unwrap();
    let (held, go) = busy(&pool, "").await;
    let (other, go_too) = busy(&pool, "").await;
    let flood: Vec<_> = (0..5_000)
        .map(|_| {
            let pool = pool.clone();
            spawn_here(async move { pool.call(Job { key: "", what: What::Answer }, LONG).await })
        })
        .collect();
    while flood.iter().filter(|call| call.is_finished()).count() < 5_000 - 50 {
        assert!(pool.stats().await.unwrap().waiting <= 50);
        tokio::task::yield_now().await;
    }
    drop((go, go_too));
    let mut done = 0;
    for call in flood {
        match call.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, CallError::Full),
        }
    }
    assert_eq!(done, 50, "those that found room");
    assert!(held.await.unwrap().is_ok() && other.await.unwrap().is_ok());
    pool.stop_and_wait().await;
}

/// As many jobs as may be under way, and one more.
fn overrun(pool: &PoolRef<Hands>) {
    while pool.cast(Job { key: "", what: What::Answer }).is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_overrun_drains() {
    let pool = hands(1).start().await.unwrap();
    overrun(&pool);
    tokio::time::timeout(LONG, pool.drain()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_overrun_gets_another_size() {
    let pool = hands(1).start().await.unwrap();
    // The resize is a task that begins when this one waits, and before the desk does.
    let (resized, ()) = tokio::join!(pool.resize(2), async { overrun(&pool) });
    resized.unwrap();
    assert_eq!(pool.running().await.unwrap(), 2);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_overrun_says_so() {
    let pool = hands(1).jobs_max(2, Overflow::Refuse).start().await.unwrap();
    overrun(&pool);
    let stats = pool.stats().await.unwrap();
    assert_eq!((stats.working, stats.waiting), (1, 2));
    assert!(stats.refused > 0);
    pool.stop_and_wait().await;
}
