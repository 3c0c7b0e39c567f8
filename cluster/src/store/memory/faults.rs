//! What can go wrong with a disk.

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::store::StoreError;

/// Faults of the engine in memory. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    is_full: bool,
    syncs_fail: bool,
    latency: Duration,
}

impl Faults {
    /// From now on there is space for nothing, or for everything again.
    pub fn set_full(&self, is_full: bool) {
        self.state.lock().is_full = is_full;
    }

    /// From now on every sync fails, and what it should have synced counts as not synced.
    pub fn fail_syncs(&self) {
        self.state.lock().syncs_fail = true;
    }

    /// From now on a sync takes this long on tokio's clock.
    pub fn set_latency(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }

    pub(super) fn latency(&self) -> Duration {
        self.state.lock().latency
    }

    pub(super) fn before_write(&self, bytes: usize) -> Result<(), StoreError> {
        if self.state.lock().is_full {
            let (path, needed_bytes) = (PathBuf::from("memory"), bytes as u64);
            return Err(StoreError::Full { path, free_bytes: 0, needed_bytes });
        }
        Ok(())
    }

    pub(super) fn before_sync(&self) -> Result<(), StoreError> {
        if self.state.lock().syncs_fail {
            return Err(StoreError::Sync { reason: "injected fault".to_owned() });
        }
        Ok(())
    }

    /// A restart repairs syncs; a full disk stays full, a slow one slow.
    pub(super) fn after_restart(&self) -> Self {
        let state = State { syncs_fail: false, ..self.state.lock().clone() };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}
