//! What a node that starts waits for.
//!
//! Comes in: each thing that it waits for, from whoever waits. Leaves: the latest, for whoever asks why the node is not ready.

use std::sync::Arc;

use parking_lot::Mutex;

/// What a node that starts waits for. A cheap handle: clones are the same.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    pub(super) fn waits_for(&self, what: impl Into<String>) {
        *self.0.lock() = what.into();
    }

    /// What it waits for now, or waited for last.
    #[must_use]
    pub fn now(&self) -> String {
        self.0.lock().clone()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("its volume to be opened".to_owned())))
    }
}

#[cfg(test)]
mod tests;
