//! Pauses an executor for a planned move, so that its successor finds nothing on its way.

use std::sync::Arc;

use playhouse_cluster::environment::watch;

/// Pauses one executor. A cheap handle; both ends hold one.
#[derive(Clone, Debug)]
pub struct Handover {
    is_wanted: Arc<watch::Sender<bool>>,
    is_quiet: Arc<watch::Sender<bool>>,
}

impl Default for Handover {
    fn default() -> Self {
        Self { is_wanted: Arc::new(watch::channel(false).0), is_quiet: Arc::new(watch::channel(false).0) }
    }
}

impl Handover {
    /// The executor takes no more messages; callers wait. Returns when everything that it had proposed is applied. The
    /// caller limits the time, and calls [`resume`](Self::resume) unless the executor ended.
    pub async fn pause(&self) {
        // What is known may be of an earlier pause.
        self.is_quiet.send_replace(false);
        self.is_wanted.send_replace(true);
        // An error would mean that the sender is gone, and we hold it.
        let _ = self.is_quiet.subscribe().wait_for(|quiet| *quiet).await;
    }

    /// The executor goes on.
    pub fn resume(&self) {
        self.is_wanted.send_replace(false);
    }

    pub(super) fn wanted(&self) -> watch::Receiver<bool> {
        self.is_wanted.subscribe()
    }

    pub(super) fn tell(&self, is_quiet: bool) {
        self.is_quiet.send_if_modified(|quiet| std::mem::replace(quiet, is_quiet) != is_quiet);
    }
}
