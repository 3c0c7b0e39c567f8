//! The threads that processes of one node run on.

use std::time::Duration;

use tokio::{runtime::Runtime, time::Instant};

use super::joined;
use crate::node::runtime;

/// A runtime as a node has it: as many threads as this machine has cores.
pub struct Stage {
    runtime: Runtime,
}

impl Default for Stage {
    fn default() -> Self {
        Self { runtime: runtime() }
    }
}

impl Stage {
    /// Waits for `work`, which runs on its threads.
    ///
    /// # Panics
    ///
    /// When the work does.
    pub fn wait<F>(&self, work: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.block_on(self.runtime.handle().spawn(work)).expect("no task panics")
    }

    /// Runs one task per input at once, and returns what they return.
    ///
    /// # Panics
    ///
    /// When a task does.
    pub fn each<I, F>(&self, inputs: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Vec<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let tasks = inputs.into_iter().map(|input| self.runtime.handle().spawn(work(input))).collect();
        joined(&self.runtime, tasks)
    }
}

/// How many per second.
#[must_use]
pub fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The rate of `count` things that `work` does.
pub fn rated<T>(count: usize, work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let done = work();
    (per_second(count, began.elapsed()), done)
}
