//! Programs of processes that live with a node: started when it is a member of its cluster, stopped before it leaves.
//!
//! Comes in: functions that start a supervision tree, by name. Leaves: supervisors that run on this node, and belong to it.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use playhouse_cluster::environment::{Environment, watch};
use tokio::{
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::StartError;
use crate::{
    entity::{Entity, Surroundings},
    process::{ClusterNames, Distribution, SupervisorRef},
    protocol::Key,
    router::{EntityRef, Router},
};

/// What a program that lives with a node can reach. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) name: Arc<str>,
    pub(super) router: Router,
    pub(super) distribution: Option<Distribution>,
    pub(super) cluster_names: Option<ClusterNames>,
}

impl Handle {
    /// What the node is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The way to entities.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// A typed reference to an entity. It always exists.
    #[must_use]
    pub fn entity<E: Entity>(&self, key: Key) -> EntityRef<E> {
        EntityRef::new(self.router.clone(), key)
    }

    /// As [`Node::distribution`](super::Node::distribution).
    #[must_use]
    pub fn distribution(&self) -> Option<&Distribution> {
        self.distribution.as_ref()
    }

    /// As [`Node::cluster_names`](super::Node::cluster_names).
    #[must_use]
    pub fn cluster_names(&self) -> Option<&ClusterNames> {
        self.cluster_names.as_ref()
    }
}

/// What handlers of this node may ask for, as long as it runs: it leads back to the node's router, which leads to it.
pub(super) struct Given(pub(super) Surroundings);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Why an application did not start, in its own words.
pub type ApplicationError = Box<dyn std::error::Error + Send + Sync>;

type Started = Result<SupervisorRef, ApplicationError>;
type Start = Arc<dyn Fn(Handle) -> BoxFuture<'static, Started> + Send + Sync>;

/// A program of processes that is not started yet.
#[derive(Clone)]
pub(super) struct Application {
    name: Arc<str>,
    start: Start,
}

impl Application {
    pub(super) fn new<F, R>(name: &str, start: F) -> Self
    where
        F: Fn(Handle) -> R + Send + Sync + 'static,
        R: Future<Output = Started> + Send + 'static,
    {
        Self { name: name.into(), start: Arc::new(move |handle| Box::pin(start(handle))) }
    }

    /// Starts it, on the threads where processes run.
    async fn start(&self, handle: &Handle, environment: &Environment) -> Result<Running, StartError> {
        let failed = |reason: String| StartError::Application { name: self.name.to_string(), reason };
        // All of it is what people wrote, also what it does before it waits for the first time.
        let (start, to) = (Arc::clone(&self.start), handle.clone());
        let start = async move { start(to).await };
        let started = match &handle.distribution {
            Some(distribution) => environment.spawn_executor(distribution.scope(start)),
            None => environment.spawn_executor(start),
        };
        let top = match EndsWithUs(started).end().await {
            Ok(Ok(top)) => top,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(error) => return Err(failed(error.to_string())),
        };
        let (stopping, stops) = watch::channel(false);
        environment.spawn(tell_end(Arc::clone(&self.name), top.clone(), stops));
        tracing::info!(application = &*self.name, "an application runs");
        Ok(Running { name: Arc::clone(&self.name), top, stopping })
    }
}

/// A task that is given up when nobody waits for it any more.
struct EndsWithUs<T>(JoinHandle<T>);

impl<T> EndsWithUs<T> {
    async fn end(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for EndsWithUs<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Application").field(&self.name).finish()
    }
}

/// A program that runs. It does not outlive its node.
struct Running {
    name: Arc<str>,
    top: SupervisorRef,
    stopping: watch::Sender<bool>,
}

impl Running {
    /// Stops it; if that takes longer than this, it is killed.
    async fn stop(&self, within: Duration) {
        self.stopping.send_replace(true);
        if tokio::time::timeout(within, self.top.stop_and_wait()).await.is_err() {
            tracing::warn!(application = &*self.name, "an application did not stop in time and is killed");
            self.top.kill();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        self.top.kill();
    }
}

/// How long applications may take to stop when a later one did not start.
pub(super) const FAILED_WITHIN: Duration = Duration::from_secs(5);

/// The programs of a node.
#[derive(Default)]
pub(super) struct Applications {
    running: Vec<Running>,
    /// They were told to stop; who is told again does not wait for those that did not.
    are_told: AtomicBool,
}

impl Applications {
    /// Starts all, one after the other. When one does not start, those before it are stopped. Whoever drops this while it starts them
    /// may [stop](Self::stop) those that run.
    pub(super) async fn start(
        &mut self,
        wanted: &[Application],
        handle: &Handle,
        environment: &Environment,
    ) -> Result<(), StartError> {
        for application in wanted {
            match application.start(handle, environment).await {
                Ok(running) => self.running.push(running),
                Err(error) => {
                    self.stop(FAILED_WITHIN).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Stops all, the last one first. Each has its part of what is left of the budget, so that one that hangs takes no time of
    /// those that would stop.
    pub(super) async fn stop(&self, budget: Duration) {
        if self.are_told.swap(true, SeqCst) {
            return;
        }
        let end = Instant::now() + budget;
        for (before, running) in self.running.iter().enumerate().rev() {
            let left = end.saturating_duration_since(Instant::now());
            let parts = u32::try_from(before + 1).unwrap_or(u32::MAX);
            running.stop(left / parts).await;
        }
    }
}

/// Says so when the top of an application ends by itself. The node goes on, as OTP's does with a temporary application.
async fn tell_end(name: Arc<str>, top: SupervisorRef, stops: watch::Receiver<bool>) {
    top.wait().await;
    if !*stops.borrow() {
        tracing::error!(
            application = &*name,
            "the top supervisor of an application has ended; nothing starts it again"
        );
    }
}
