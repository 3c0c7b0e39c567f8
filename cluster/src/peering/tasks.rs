//! The tasks of the link: how they start, how they hear that it is over, and when the last has ended.

use std::future::Future;

use crate::environment::watch;

use crate::environment::Environment;

pub(super) struct Tasks {
    environment: Environment,
    stop: watch::Sender<bool>,
    running: watch::Sender<usize>,
}

impl Tasks {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, stop: watch::Sender::new(false), running: watch::Sender::new(0) }
    }

    /// Starts one that ends by itself after [`stop`](Self::stop).
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = Running::one_more(self.running.clone());
        self.environment.spawn(async move {
            let _running = running;
            task.await;
        });
    }

    /// Starts one that is dropped at [`stop`](Self::stop).
    pub(super) fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.stop.subscribe();
        self.spawn(async move {
            tokio::select! {
                biased;
                // An error means that nobody can stop us any more: the same.
                _ = stopped.wait_for(|is_stopped| *is_stopped) => {}
                () = task => {}
            }
        });
    }

    /// As [`spawn_until_stop`](Self::spawn_until_stop), for one without which the node is not whole.
    pub(super) fn spawn_vital_until_stop(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let vital = self.environment.vital(name);
        self.spawn_until_stop(async move {
            let _vital = vital;
            task.await;
        });
    }

    /// Starts one that nobody waits for: what a service does with a request.
    pub(super) fn spawn_untracked(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.environment.spawn(task);
    }

    /// All of them shall end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns when all have ended.
    pub(super) async fn ended(&self) {
        // An error would mean that the sender is gone, and it is a field of this.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

struct Running(watch::Sender<usize>);

impl Running {
    fn one_more(count: watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
