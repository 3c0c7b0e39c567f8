//! What can be asked of a store without keeping it open.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::environment::watch;

use super::{DiskCall, Health, Statistics, StoreError, disk::Disk, space, writer::Shared};

/// Watches a store for operators. Whoever holds a [`Store`](super::Store) keeps its files open; a probe does not.
#[derive(Clone)]
pub struct Probe {
    pub(super) health: watch::Receiver<Health>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) disk: Arc<Disk>,
    pub(super) path: Option<PathBuf>,
    pub(super) shared: Weak<Shared>,
}

impl Probe {
    /// Whether writes are acknowledged.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health.borrow().is_healthy()
    }

    /// Whether the files of the store are in use.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.strong_count() > 0
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

    /// How large the volume is, in bytes, as [`free_bytes`](Self::free_bytes) counts; `None` as there.
    #[must_use]
    pub fn volume_bytes(&self) -> Option<u64> {
        self.path.as_deref().and_then(|path| space::size_bytes(path).ok())
    }

    /// When the call into the engine began that has not returned yet. `None`: there is no such call now.
    #[must_use]
    pub fn begun(&self, call: DiskCall) -> Option<Instant> {
        self.disk.begun(call)
    }

    /// The disk hangs: `call` has not returned for so long that whoever watches does not wait any more. The store is
    /// [`Health::Failed`] from here on. What waits for the writer hears it now; what the writer has taken hears what became
    /// of it when the call returns, if it ever does.
    pub fn give_up(&self, call: DiskCall, waited: Duration) {
        if let Some(shared) = self.shared.upgrade() {
            shared.give_up(&StoreError::Hangs { call, seconds: waited.as_secs() });
        }
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Probe").field("path", &self.path).finish_non_exhaustive()
    }
}
