//! Port 9090: probes, health, metrics, and commands for operators.
//!
//! Comes in: [`Check`]s, [`Pulse`]s and [`AdminAction`]s from the node. Leaves: 200 or 503, Prometheus text, JSON.
//! The port has a drain of its own: it is the last to leave, so that probes see the node draining.

mod admin;
mod check;
mod front;
mod health;
mod probes;
mod pulse;

#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use playhouse_cluster::environment::Environment;
use tokio::net::TcpListener;

pub use admin::{AdminAccess, AdminAction, AdminError};
pub use check::{Check, check};
pub use pulse::{Pulse, Runtime};

use super::{
    DrainSignal, ServerLimits,
    server::{self, Server},
};
use crate::telemetry::Metrics;

/// Everything about the ops port that is decided outside of it.
pub struct OpsOptions {
    /// The node's own name.
    pub node: String,
    /// The node's own release, such as `0.1.0`.
    pub release: String,
    /// Bounds of the port.
    pub server: ServerLimits,
    /// Event loops that must make progress, or `/livez` fails.
    pub pulses: Vec<Pulse>,
    /// What must hold once after the start, or `/startupz` fails.
    pub startup: Vec<Arc<dyn Check>>,
    /// What must hold to be sent requests, or `/readyz` fails.
    pub ready: Vec<Arc<dyn Check>>,
    /// How long a check may take; then it failed. Keep it below the `timeoutSeconds` of the probes.
    pub check_timeout: Duration,
    /// Who may give commands.
    pub access: AdminAccess,
    /// The commands below `/admin/v1`.
    pub actions: Vec<Arc<dyn AdminAction>>,
    /// When to close the port.
    pub drain: DrainSignal,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Brings gauges up to date before each scrape, which waits for it.
    pub before_scrape: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl OpsOptions {
    /// No checks, no pulses, nobody is admin.
    #[must_use]
    pub fn new(
        node: impl Into<String>,
        release: impl Into<String>,
        drain: DrainSignal,
        metrics: Metrics,
    ) -> Self {
        Self {
            node: node.into(),
            release: release.into(),
            server: Self::limits(),
            pulses: Vec::new(),
            startup: Vec::new(),
            ready: Vec::new(),
            check_timeout: Duration::from_secs(2),
            access: AdminAccess::default(),
            actions: Vec::new(),
            drain,
            metrics,
            before_scrape: Arc::new(|| Box::pin(async {})),
        }
    }

    /// Few connections, short drain: only probes, scrapers and operators come here.
    fn limits() -> ServerLimits {
        ServerLimits {
            connections_max: NonZeroU32::new(256).expect("256 is not zero"),
            drain_timeout: Duration::from_secs(1),
            ..ServerLimits::default()
        }
    }
}

/// Serves port 9090 until `options.drain` is given.
pub async fn serve(listener: TcpListener, options: OpsOptions, environment: Environment) {
    let server = Server {
        port: "ops",
        limits: options.server.clone(),
        drain: options.drain.clone(),
        metrics: options.metrics.clone(),
        environment: environment.clone(),
    };
    let front: Arc<dyn server::Answer> = Arc::new(front::OpsFront::new(options, environment));
    server.serve(listener, front).await;
}
