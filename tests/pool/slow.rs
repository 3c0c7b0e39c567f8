//! Workers that take long to start, or never do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse::process::{Pool, Worker};
use ractor::ActorProcessingErr;

use crate::stage::{LONG, SECOND};

/// Its workers start at once but for those from a certain place on, which never do.
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
