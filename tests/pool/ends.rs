//! How pools start and end.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use playhouse::process::{CallError, ChildSpec, ExitReason, PoolRef, StartError, Strategy, Supervisor};
use playhouse_cluster::environment::spawn_here;

use crate::stage::{Hands, Job, LONG, SECOND, Starts, What, ask, boom, busy, done_by, hands, hands_with};

#[tokio::test(start_paused = true)]
async fn a_pool_that_drains_ends_its_jobs_and_takes_no_more() {
    let pool = hands(1).start().await.unwrap();
    let (first, go) = busy(&pool, "").await;
    let waits = ask(&pool, "", What::Answer).await;
    let drained = spawn_here({
        let pool = pool.clone();
        async move { pool.drain().await }
    });
    tokio::task::yield_now().await;
    let refused = loop {
        // The drain is on its way to the desk as this is.
        match pool.call(Job { key: "", what: What::Answer }, SECOND).await {
            Err(CallError::Timeout) => {}
            other => break other,
        }
    };
    assert_eq!(refused, Err(CallError::NoProc));
    assert!(!drained.is_finished(), "two jobs are not done");
    drop(go);
    assert!(first.await.unwrap().is_ok() && waits.await.unwrap().is_ok());
    drained.await.unwrap();
    assert_eq!(pool.call(Job { key: "", what: What::Answer }, LONG).await, Err(CallError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn jobs_that_nobody_waits_for_are_counted_when_a_pool_drains() {
    let pool = hands(1).start().await.unwrap();
    let (first, go) = busy(&pool, "").await;
    let drained = spawn_here({
        let pool = pool.clone();
        async move { pool.drain().await }
    });
    tokio::task::yield_now().await;
    pool.cast(Job { key: "", what: What::Answer }).unwrap();
    let stats = pool.stats().await.unwrap();
    assert_eq!((stats.waiting, stats.refused), (0, 1));
    drop(go);
    assert!(first.await.unwrap().is_ok());
    drained.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_pool_drains_at_once() {
    let pool = hands(2).start().await.unwrap();
    pool.drain().await;
    pool.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_stops_lets_workers_end_their_jobs_and_fails_the_others() {
    let pool = hands(1).start().await.unwrap();
    let (first, go) = busy(&pool, "").await;
    let waits = ask(&pool, "", What::Answer).await;
    let stopped = spawn_here({
        let pool = pool.clone();
        async move { pool.stop_and_wait().await }
    });
    tokio::time::sleep(SECOND).await;
    drop(go);
    stopped.await.unwrap();
    assert!(first.await.unwrap().is_ok());
    assert_eq!(waits.await.unwrap(), Err(CallError::Died(ExitReason::Shutdown)));
}

#[tokio::test(start_paused = true)]
async fn a_pool_starts_with_all_its_workers_or_not_at_all() {
    let starts = Starts { started: Arc::default(), starts_max: 2 };
    let error = hands_with(3, &starts).start().await.unwrap_err();
    let expected = ExitReason::Crashed("no hands left".to_owned());
    assert!(matches!(error, StartError::Child { id, reason } if id == "worker 2" && reason == expected));
    assert_eq!(starts.started.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_the_child_of_a_supervisor_that_starts_it_again() {
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(ChildSpec::supervisor("pool", || hands(2).intensity(0, SECOND)))
        .start()
        .await
        .unwrap();
    let pool: PoolRef<Hands> = supervisor.child("pool").await.unwrap().reference().unwrap();
    assert_eq!(pool.call(Job { key: "", what: What::Crash }, SECOND).await, Err(boom()));
    pool.wait().await;
    supervisor.count_children().await.unwrap();
    supervisor.count_children().await.unwrap();
    let again: PoolRef<Hands> = supervisor.child("pool").await.unwrap().reference().unwrap();
    assert!(done_by(&again, "").await < 2);
    supervisor.stop_and_wait().await;
    assert_eq!(again.call(Job { key: "", what: What::Answer }, LONG).await, Err(CallError::NoProc));
}
