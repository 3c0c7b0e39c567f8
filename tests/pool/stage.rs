//! Workers that do what they are told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse::process::{CallError, ExitReason, Pool, PoolRef, Worker, key_of};
use playhouse_cluster::environment::spawn_here;
use ractor::ActorProcessingErr;
use tokio::{sync::oneshot, task::JoinHandle};

pub const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test waits.
pub const LONG: Duration = Duration::from_secs(600);

/// What is to be done, about what.
pub struct Job {
    pub key: &'static str,
    pub what: What,
}

pub enum What {
    /// Answers at once.
    Answer,
    /// Says that it begins, and waits for this.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    Crash,
    Fail(ExitReason),
    Hang,
}

/// Who did a job, and how many it had done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub place: usize,
    pub before: usize,
}

/// How many workers were started; past the bound they do not start.
#[derive(Clone)]
pub struct Starts {
    pub started: Arc<AtomicUsize>,
    pub starts_max: usize,
}

pub struct Hands {
    place: usize,
}

impl Worker for Hands {
    type Job = Job;
    type Answer = Done;
    type State = usize;
    type Arguments = Starts;

    async fn start(&self, starts: Starts) -> Result<usize, ActorProcessingErr> {
        match starts.started.fetch_add(1, SeqCst) < starts.starts_max {
            true => Ok(0),
            false => Err("no hands left".into()),
        }
    }

    async fn work(&self, job: Job, before: &mut usize) -> Result<Done, ActorProcessingErr> {
        match job.what {
            What::Answer => {}
            What::Wait(begins, go) => {
                let _ = begins.send(());
                let _ = go.await;
            }
            What::Crash => panic!("boom"),
            What::Fail(reason) => return Err(reason.into()),
            What::Hang => std::future::pending().await,
        }
        let done = Done { place: self.place, before: *before };
        *before += 1;
        Ok(done)
    }

    fn key(job: &Job) -> u64 {
        key_of(job.key)
    }
}

pub fn hands(size: usize) -> Pool<Hands> {
    hands_with(size, &Starts { started: Arc::default(), starts_max: usize::MAX })
}

pub fn hands_with(size: usize, starts: &Starts) -> Pool<Hands> {
    let starts = starts.clone();
    Pool::new(size, move |place| (Hands { place }, starts.clone()))
}

/// Has a job done; who did it.
pub async fn done_by(pool: &PoolRef<Hands>, key: &'static str) -> usize {
    pool.call(Job { key, what: What::Answer }, SECOND).await.unwrap().place
}

/// A call that waits.
pub type Call = JoinHandle<Result<Done, CallError>>;

/// Asks without waiting for the answer; returns when the pool has heard of it.
pub async fn ask(pool: &PoolRef<Hands>, key: &'static str, what: What) -> Call {
    let before = heard_of(pool).await;
    let asked = spawn_here({
        let pool = pool.clone();
        async move { pool.call(Job { key, what }, LONG).await }
    });
    while heard_of(pool).await == before && !asked.is_finished() {
        tokio::task::yield_now().await;
    }
    asked
}

async fn heard_of(pool: &PoolRef<Hands>) -> u64 {
    let Ok(stats) = pool.stats().await else { return u64::MAX };
    (stats.working + stats.waiting) as u64 + stats.done + stats.crashed + stats.refused + stats.abandoned
}

/// A worker that is at a job until the sender is used or dropped.
pub async fn busy(pool: &PoolRef<Hands>, key: &'static str) -> (Call, oneshot::Sender<()>) {
    let ((begun, begins), (go, goes)) = (oneshot::channel(), oneshot::channel());
    let call = ask(pool, key, What::Wait(begun, goes)).await;
    begins.await.unwrap();
    (call, go)
}

pub fn boom() -> CallError {
    CallError::Died(ExitReason::Crashed("boom".to_owned()))
}

/// Returns when so many workers are there.
pub async fn until_there(pool: &PoolRef<Hands>, workers: usize) {
    while pool.stats().await.unwrap().workers != workers {
        tokio::task::yield_now().await;
    }
}
