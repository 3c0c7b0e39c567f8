//! What can be asked of a store without keeping it open.

use std::{path::PathBuf, sync::Arc};

use crate::environment::watch;

use super::{Health, Statistics, space};

/// Watches a store for operators. Whoever holds a [`Store`](super::Store) keeps its files open; a probe does not.
#[derive(Clone, Debug)]
pub struct Probe {
    pub(super) health: watch::Receiver<Health>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) path: Option<PathBuf>,
}

impl Probe {
    /// Whether writes are acknowledged.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health.borrow().is_healthy()
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
