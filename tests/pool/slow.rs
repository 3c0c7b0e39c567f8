//! Workers that take long to start, or never do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse::process::{
    ChildSpec, ExitReason, Pool, ResizeError, StartChildError, StartError, Strategy, Supervisor, Worker,
};
use ractor::ActorProcessingErr;

use crate::stage::{LONG, SECOND};

/// Starts at once or never.
struct Slow {
    never: bool,
}

/// Counts those that live, and those that start.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Worker for Slow {
    type Job = ();
    type Answer = ();
    type State = Alive;
    type Arguments = Arc<AtomicUsize>;

    async fn start(&self, alive: Arc<AtomicUsize>) -> Result<Alive, ActorProcessingErr> {
        alive.fetch_add(1, SeqCst);
        let alive = Alive(alive);
        if self.never {
            std::future::pending::<()>().await;
        }
        Ok(alive)
    }

    async fn work(&self, (): (), _: &mut Alive) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// Those from this place on never start.
fn slow(size: usize, never: usize, alive: &Arc<AtomicUsize>) -> Pool<Slow> {
    let alive = Arc::clone(alive);
    Pool::new(size, move |place| (Slow { never: place >= never }, Arc::clone(&alive)))
}

async fn until_none_lives(alive: &AtomicUsize) {
    let gone = async {
        while alive.load(SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("workers live on");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_broken_off_leaves_nothing_behind() {
    let alive = Arc::default();
    let start = tokio::time::timeout(SECOND, slow(3, 2, &alive).start()).await;
    assert!(start.is_err(), "the last one never starts");
    assert_eq!(alive.load(SeqCst), 3);
    until_none_lives(&alive).await;
}

/// Its workers once lived on when their supervisor said that they had not started.
#[tokio::test(start_paused = true)]
async fn a_pool_whose_start_its_parent_breaks_off_is_gone_when_the_parent_goes_on() {
    let alive = Arc::<AtomicUsize>::default();
    let workers = Arc::clone(&alive);
    let pool = ChildSpec::supervisor("pool", move || slow(3, 2, &workers)).start_timeout(SECOND);
    let parent = Supervisor::new(Strategy::OneForOne).start().await.unwrap();
    let start = parent.start_child(pool).await;
    assert_eq!(alive.load(SeqCst), 0, "nothing is left behind");
    assert!(matches!(start, Err(StartChildError::Failed(reason)) if reason == too_slow(SECOND)));
    parent.stop_and_wait().await;
}

fn too_slow(start_max: Duration) -> ExitReason {
    ExitReason::Crashed(format!("did not start within {start_max:?}"))
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_starts_fails_the_start_of_its_pool() {
    for (start_max, pool) in
        [(SECOND, slow(2, 1, &Arc::default()).start_max(SECOND)), (30 * SECOND, slow(2, 1, &Arc::default()))]
    {
        let start = tokio::time::timeout(LONG, pool.start()).await.expect("it fails in time");
        let (expected, error) = (too_slow(start_max), start.unwrap_err());
        assert!(
            matches!(&error, StartError::Child { id, reason } if id == "worker 1" && *reason == expected),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_starts_does_not_keep_a_pool_from_its_end() {
    for start_max in [SECOND, 100 * SECOND] {
        let alive = Arc::default();
        let pool = slow(1, 1, &alive).start_max(start_max).start().await.unwrap();
        let resized = tokio::time::timeout(LONG, pool.resize(2)).await.expect("it fails in time");
        assert_eq!(resized, Err(ResizeError::Start(too_slow(start_max))));
        assert_eq!(pool.call((), SECOND).await, Ok(()));
        tokio::time::timeout(LONG, pool.drain()).await.expect("it ends");
        until_none_lives(&alive).await;
    }
}
