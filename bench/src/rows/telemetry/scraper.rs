//! Reads the metrics of a node each second, as Prometheus does.

use std::time::Duration;

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

use crate::{node::environment, ops::Ops};

const EVERY: Duration = Duration::from_secs(1);

/// Reads until it is stopped.
pub(super) struct Scraper {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    reading: JoinHandle<usize>,
}

impl Scraper {
    pub(super) fn start(ops: Ops) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the operating system gives a thread");
        let environment = environment(runtime.handle());
        let (stop, stopped) = oneshot::channel();
        let reading = environment.spawn(read_until(stopped, ops));
        Self { runtime, stop, reading }
    }

    /// How often it has read.
    pub(super) fn stop(self) -> usize {
        drop(self.stop);
        self.runtime.block_on(self.reading).expect("the node shows its metrics")
    }
}

async fn read_until(mut stopped: oneshot::Receiver<()>, ops: Ops) -> usize {
    let mut ticks = tokio::time::interval(EVERY);
    let mut times = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return times,
            _ = ticks.tick() => {}
        }
        drop(ops.metrics().await);
        times += 1;
    }
}
