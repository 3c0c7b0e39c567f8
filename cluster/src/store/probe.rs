//! What can be asked of a store without keeping it open.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{DiskCall, Health, Statistics, disk::Disk, space};
use crate::environment::Environment;

/// Watches a store for operators. Whoever holds a [`Store`](super::Store) keeps its files open; a probe does not.
#[derive(Clone)]
pub struct Probe {
    pub(super) health: watch::Receiver<Health>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) disk: Arc<Disk>,
    pub(super) environment: Environment,
    pub(super) path: Option<PathBuf>,
}

impl Probe {
    /// Whether writes are acknowledged.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health.borrow().is_healthy()
    }

    /// News of [`is_healthy`](Self::is_healthy), and why not; the current value is always there.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// For how long a call of the writer into the engine has not returned. `None`: there is no such call now.
    #[must_use]
    pub fn waiting(&self, call: DiskCall) -> Option<Duration> {
        self.disk.waiting(call, self.environment.now())
    }

    /// What the store counted.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What is free on the volume, in bytes; `None` for engines without one, or when the volume does not answer.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.path.as_deref().and_then(|path| space::free_bytes(path).ok())
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Probe").field("path", &self.path).finish_non_exhaustive()
    }
}
