//! What a program runs on its node beside entities: its processes, as an OTP application.
//!
//! Comes in: a function, called once the node has started. Leaves: a task, which is told when the node is about to leave and gets
//! a part of its time to stop what it started.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use playhouse_cluster::{
    consensus::RaftId,
    environment::{Environment, watch},
};
use tokio::task::JoinHandle;

use super::Node;
use crate::{
    entity::Entity,
    process::{ClusterNames, Distribution},
    protocol::Key,
    router::{EntityRef, Router},
};

/// How an application ends.
pub type ApplicationResult = Result<(), Box<dyn Error + Send + Sync>>;

pub(super) type Run = Arc<dyn Fn(Application) -> BoxFuture<'static, ApplicationResult> + Send + Sync>;

/// What an application has of its node.
pub struct Application {
    name: String,
    raft_id: RaftId,
    router: Router,
    distribution: Option<Distribution>,
    cluster_names: Option<ClusterNames>,
    environment: Environment,
    leaving: watch::Receiver<()>,
}

impl Application {
    fn of(node: &Node, leaving: watch::Receiver<()>) -> Self {
        Self {
            name: node.identity().name().to_owned(),
            raft_id: node.identity().raft_id(),
            router: node.router().clone(),
            distribution: node.distribution().cloned(),
            cluster_names: node.cluster_names(),
            environment: node.environment.clone(),
            leaving,
        }
    }

    /// What its node is called.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.name
    }

    /// As other nodes know its node.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.raft_id
    }

    /// A typed reference to an entity. It always exists.
    #[must_use]
    pub fn entity<E: Entity>(&self, key: Key) -> EntityRef<E> {
        EntityRef::new(self.router.clone(), key)
    }

    /// The way to entities.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The processes of this node as others see them, and those of others; `None`: its node has none, or is alone.
    #[must_use]
    pub fn distribution(&self) -> Option<&Distribution> {
        self.distribution.as_ref()
    }

    /// Names of processes in the whole cluster; `None` where there is no [`distribution`](Self::distribution).
    #[must_use]
    pub fn cluster_names(&self) -> Option<&ClusterNames> {
        self.cluster_names.as_ref()
    }

    /// Time, chance and tasks.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Waits until its node is about to leave. Entities can still be reached then, and other nodes.
    pub async fn until_leaving(&mut self) {
        // Nothing is ever said but that it is over.
        while self.leaving.changed().await.is_ok() {}
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("node", &self.name).finish_non_exhaustive()
    }
}

/// An application that was started.
pub(super) struct Running {
    /// Dropped when the node is about to leave.
    leaving: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// Starts it, where what people wrote cannot hold up consensus and links.
pub(super) fn start(run: &Run, node: &Node) -> Running {
    let (tell_leaving, leaving) = watch::channel(());
    let application = Application::of(node, leaving.clone());
    let runs = run(application);
    let task = node.environment.spawn_executor(async move {
        let ended = runs.await;
        match ended {
            Err(error) => tracing::error!(error = %error, "the application ended"),
            // Its last sender is gone when the node leaves.
            Ok(()) if leaving.has_changed().is_ok() => {
                tracing::warn!("the application ended before its node")
            }
            Ok(()) => {}
        }
    });
    Running { leaving: tell_leaving, task }
}

impl Running {
    /// Tells it that the node leaves, and gives it so long.
    pub(super) async fn stop(self, budget: Duration) {
        let Self { leaving, mut task } = self;
        drop(leaving);
        match tokio::time::timeout(budget, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "the application panicked"),
            Err(_) => {
                tracing::warn!(budget_s = budget.as_secs_f64(), "the application did not stop in time");
                task.abort();
            }
        }
    }
}
