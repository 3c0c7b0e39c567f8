//! Jobs and answers that panic where they are looked at or dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use playhouse::process::{CallError, Overflow, Pool, PoolRef, Worker};
use playhouse_cluster::environment::spawn_here;
use ractor::ActorProcessingErr;
use tokio::sync::oneshot;

use crate::stage::{LONG, SECOND};

/// Panics when it is dropped.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("brittle");
    }
}

enum Task {
    Plain,
    WithoutKey,
    Brittle(Brittle),
    /// Says that it begins, waits, and answers what is brittle.
    Hold(oneshot::Sender<()>, oneshot::Receiver<()>),
}

struct Careful;

impl Worker for Careful {
    type Job = Task;
    type Answer = Option<Brittle>;
    type State = ();
    type Arguments = ();

    async fn start(&self, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn work(&self, task: Task, (): &mut ()) -> Result<Option<Brittle>, ActorProcessingErr> {
        match task {
            Task::Plain | Task::WithoutKey => Ok(None),
            Task::Brittle(brittle) => Ok(Some(brittle)),
            Task::Hold(begins, go) => {
                let _ = begins.send(());
                let _ = go.await;
                Ok(Some(Brittle))
            }
        }
    }

    fn key(task: &Task) -> u64 {
        assert!(!matches!(task, Task::WithoutKey), "it has none");
        0
    }
}

async fn careful(jobs_max: usize) -> PoolRef<Careful> {
    Pool::new(1, |_| (Careful, ())).jobs_max(jobs_max, Overflow::Refuse).start().await.unwrap()
}

/// Has the worker hold on; its caller gives up when it has begun.
async fn hold_for_nobody(pool: &PoolRef<Careful>) -> oneshot::Sender<()> {
    let ((begun, begins), (go, goes)) = (oneshot::channel(), oneshot::channel());
    let call = pool.call(Task::Hold(begun, goes), LONG);
    tokio::select! {
        biased;
        _ = call => panic!("nobody lets it go"),
        begun = begins => begun.unwrap(),
    }
    go
}

/// Whether it goes on without having lost anything.
async fn is_well(pool: &PoolRef<Careful>) -> bool {
    let answer = pool.call(Task::Plain, LONG).await;
    matches!(answer, Ok(None)) && pool.stats().await.unwrap().crashed == 0
}

#[tokio::test(start_paused = true)]
async fn a_key_that_panics_hurts_only_its_caller() {
    let pool = careful(1).await;
    let called = spawn_here({
        let pool = pool.clone();
        async move { pool.call(Task::WithoutKey, SECOND).await.is_ok() }
    });
    assert!(called.await.is_err(), "the caller panics");
    assert!(catch_unwind(AssertUnwindSafe(|| pool.cast(Task::WithoutKey))).is_err());
    assert!(is_well(&pool).await);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_panic_when_they_are_dropped_hurt_nobody() {
    let pool = careful(1).await;
    let go = hold_for_nobody(&pool).await;
    let abandoned = pool.call(Task::Brittle(Brittle), SECOND).await.map(std::mem::forget);
    assert_eq!(abandoned, Err(CallError::Timeout));
    let refused = pool.call(Task::Brittle(Brittle), SECOND).await.map(std::mem::forget);
    assert_eq!(refused, Err(CallError::Full));
    drop(go);
    while pool.stats().await.unwrap().abandoned == 0 {
        tokio::task::yield_now().await;
    }
    assert!(is_well(&pool).await);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_panic_when_they_are_dropped_hurt_nobody() {
    let pool = careful(2).await;
    // Nobody waits any more, and nobody ever did.
    drop(hold_for_nobody(&pool).await);
    pool.cast(Task::Brittle(Brittle)).unwrap();
    assert!(is_well(&pool).await);
    assert_eq!(pool.stats().await.unwrap().done, 3);
    pool.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_when_the_pool_ends_may_panic() {
    let pool = careful(10).await;
    let _go = hold_for_nobody(&pool).await;
    for _ in 0..10 {
        pool.cast(Task::Brittle(Brittle)).unwrap();
    }
    assert_eq!(pool.stats().await.unwrap().waiting, 10);
    pool.stop_and_wait().await;
    assert_eq!(pool.call(Task::Plain, LONG).await.map(drop), Err(CallError::NoProc));
}
