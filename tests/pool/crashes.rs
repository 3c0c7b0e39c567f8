//! Workers that crash, and what callers hear of it.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use playhouse::process::{Backoff, CallError, ExitReason, Routing};
use playhouse_cluster::environment::spawn_here;

use crate::stage::{Job, LONG, SECOND, Starts, What, ask, boom, busy, hands, hands_with, until_there};

#[tokio::test(start_paused = true)]
async fn a_caller_hears_why_its_worker_crashed_and_the_worker_is_replaced() {
    let pool = hands(1).start().await.unwrap();
    assert_eq!(pool.call(Job { key: "", what: What::Answer }, SECOND).await.unwrap().before, 0);
    assert_eq!(pool.call(Job { key: "", what: What::Crash }, SECOND).await, Err(boom()));
    let next = pool.call(Job { key: "", what: What::Answer }, SECOND).await.unwrap();
    assert_eq!((next.place, next.before), (0, 0), "another worker in the same place");
    let stats = pool.stats().await.unwrap();
    assert_eq!((stats.workers, stats.done, stats.crashed), (1, 2, 1));
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_a_worker_that_crashes_are_done_by_the_next_one() {
    for routing in [Routing::Queuer, Routing::StickyQueuer, Routing::RoundRobin, Routing::KeyPersistent] {
        let pool = hands(1).routing(routing).start().await.unwrap();
        let (first, go) = busy(&pool, "a").await;
        let crashes = ask(&pool, "a", What::Crash).await;
        let waits = [ask(&pool, "a", What::Answer).await, ask(&pool, "b", What::Answer).await];
        drop(go);
        assert!(first.await.unwrap().is_ok());
        assert_eq!(crashes.await.unwrap(), Err(boom()));
        for call in waits {
            assert!(call.await.unwrap().is_ok(), "{routing:?}");
        }
        pool.stop_and_wait().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_in_good_order_is_replaced_too() {
    let pool = hands(1).start().await.unwrap();
    for reason in [ExitReason::Normal, ExitReason::Shutdown] {
        let died = CallError::Died(ExitReason::Crashed(reason.to_string()));
        assert_eq!(pool.call(Job { key: "", what: What::Fail(reason) }, SECOND).await, Err(died));
        assert!(pool.call(Job { key: "", what: What::Answer }, SECOND).await.is_ok());
    }
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_ends_its_worker() {
    let pool = hands(1).work_max(SECOND).start().await.unwrap();
    let asked = pool.call(Job { key: "", what: What::Hang }, LONG).await;
    assert!(
        matches!(asked, Err(CallError::Died(ExitReason::Crashed(text))) if text.contains("longer than 1s"))
    );
    assert!(pool.call(Job { key: "", what: What::Answer }, SECOND).await.is_ok());
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_may_wait() {
    let pool = hands(1).backoff(Backoff::new(10 * SECOND, 10 * SECOND)).start().await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(pool.call(Job { key: "", what: What::Crash }, SECOND).await, Err(boom()));
    assert!(began.elapsed() < SECOND, "the caller does not wait for that");
    assert!(pool.call(Job { key: "", what: What::Answer }, LONG).await.is_ok());
    assert!(began.elapsed() >= 5 * SECOND);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_crashes_end_the_pool_and_all_calls() {
    let pool = hands(2).intensity(2, 5 * SECOND).start().await.unwrap();
    let (held, _go) = busy(&pool, "").await;
    for _ in 0..3 {
        assert_eq!(pool.call(Job { key: "", what: What::Crash }, SECOND).await, Err(boom()));
    }
    pool.wait().await;
    assert!(matches!(held.await.unwrap(), Err(CallError::Died(_))));
    assert_eq!(pool.call(Job { key: "", what: What::Answer }, LONG).await, Err(CallError::NoProc));
}

/// As OTP's: a replacement that does not start counts, and is tried again.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_does_not_start_is_tried_until_the_pool_gives_up() {
    let starts = Starts { started: Arc::default(), starts_max: 1 };
    let pool = hands_with(1, &starts).intensity(3, 60 * SECOND).start().await.unwrap();
    let waits = {
        let (_, go) = busy(&pool, "").await;
        let crashes = ask(&pool, "", What::Crash).await;
        let waits = ask(&pool, "", What::Answer).await;
        drop(go);
        assert_eq!(crashes.await.unwrap(), Err(boom()));
        waits
    };
    assert!(matches!(waits.await.unwrap(), Err(CallError::Died(_))), "it does not wait for ever");
    pool.wait().await;
    assert_eq!(starts.started.load(SeqCst), 1 + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_of_a_storm_of_crashes_ends() {
    for routing in [Routing::Queuer, Routing::StickyQueuer, Routing::RoundRobin, Routing::KeyPersistent] {
        let pool = hands(4).routing(routing).intensity(u32::MAX, SECOND).start().await.unwrap();
        let calls: Vec<_> = (0..800_u32)
            .map(|number| {
                let pool = pool.clone();
                let key = ["a", "b", "c", "d", "e"][number as usize % 5];
                let crashes = number.is_multiple_of(7);
                let what = if crashes { What::Crash } else { What::Answer };
                let call = async move { (crashes, pool.call(Job { key, what }, LONG).await) };
                spawn_here(tokio::time::timeout(Duration::from_secs(60), call))
            })
            .collect();
        for call in calls {
            let (crashes, answer) = call.await.unwrap().expect("a call ends");
            assert_eq!(
                answer.err(),
                crashes.then(boom),
                "{routing:?}: a crash is the end of its own job only"
            );
        }
        until_there(&pool, 4).await;
        pool.stop_and_wait().await;
    }
}
