//! What openraft runs on: tokio, with tasks and random numbers from the node's environment.
//!
//! openraft knows its runtime as a type and cannot be given an environment. So tasks inherit it from the task that
//! starts them (see [`spawn_here`]), beginning with the one that opens the group. Selection polls in the
//! order of the arguments, which openraft's default does already.

mod watch;

use std::{convert::Infallible, future::Future, time::Duration};

use futures_util::future::BoxFuture;
use openraft::{Instant as _, OptionalSend, async_runtime::AsyncRuntime, impls::TokioRuntime};
use rand_core::TryRng;

use crate::environment::{aligned_here, random_here, spawn_here};

/// Each group looks at its clock five times per heartbeat (200 ms). All groups of a node do so together, so that a thread wakes
/// 25 times a second for that and not 25 times for each group, and what they then send shares its writes.
const LOOKS: Duration = Duration::from_millis(40);
/// A shorter wait is no look at a clock. openraft gathers the news of finished writes for a microsecond; aligned, that was up to
/// [`LOOKS`] in which a group did not hear that its entries were on disk.
const BRIEF: Duration = Duration::from_micros(10);
/// How often a brief wait gives way to others before it takes a timer, which cannot tell less than a millisecond.
const YIELDS_MAX: usize = 8;

type Instant = <TokioRuntime as AsyncRuntime>::Instant;

/// Tokio behind openraft's trait.
#[derive(Debug)]
pub(crate) struct Runtime(TokioRuntime);

/// Draws from the environment of the current task.
#[derive(Debug)]
pub(crate) struct Random;

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The upper half.
        Ok((random_here() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(random_here())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(size_of::<u64>()) {
            chunk.copy_from_slice(&random_here().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = BoxFuture<'static, ()>;
    type Instant = Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Random;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = watch::Watched;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn_here(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(TokioRuntime::sleep(duration))
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let wait = deadline.saturating_duration_since(Instant::now());
        if wait <= BRIEF {
            return Box::pin(brief(deadline));
        }
        Box::pin(TokioRuntime::sleep(aligned_here(wait, LOOKS)))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Random {
        Random
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }
}

/// Never ends early: openraft would look at its clock again at once, and so on for ever where time stands still.
async fn brief(deadline: Instant) {
    for _ in 0..YIELDS_MAX {
        if Instant::now() >= deadline {
            return;
        }
        tokio::task::yield_now().await;
    }
    TokioRuntime::sleep_until(deadline).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was told up to 40 ms later that entries were on disk, whenever two writes ended close together.
    #[tokio::test(start_paused = true)]
    async fn only_waits_for_a_look_are_aligned() {
        for ms in 0..40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let began = Instant::now();
            Runtime::sleep_until(began + Duration::from_micros(1)).await;
            let waited = Instant::now() - began;
            assert!(
                waited >= Duration::from_micros(1) && waited <= Duration::from_millis(2),
                "{ms}: {waited:?}"
            );
        }
        let began = Instant::now();
        Runtime::sleep_until(began + Duration::from_millis(1)).await;
        Runtime::sleep_until(Instant::now() + Duration::from_millis(1)).await;
        assert!(Instant::now() - began >= LOOKS);
    }
}
