//! How patient a node is with its disk.

use std::time::Duration;

use playhouse_cluster::store::DiskCall;

use crate::config::Config;

/// How long one call into the disk may last. A node that waits longer gives its disk up, and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HangsAfter {
    /// A sync. Keep it above what a disk needs that is only slow, and below the patience of clients.
    pub sync: Duration,
    /// A write. What the engine is behind with its own work is not counted.
    pub write: Duration,
}

impl HangsAfter {
    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { sync: config.store.sync_hangs_after, write: config.store.write_hangs_after }
    }

    pub(in crate::node) fn limit(&self, call: DiskCall) -> Duration {
        match call {
            DiskCall::Sync => self.sync,
            DiskCall::Write => self.write,
        }
    }

    /// One that waits longer than this, by `more`.
    pub(in crate::node) fn longer(self, more: Duration) -> Self {
        Self { sync: self.sync.saturating_add(more), write: self.write.saturating_add(more) }
    }
}

impl Default for HangsAfter {
    fn default() -> Self {
        Self { sync: Duration::from_secs(5), write: Duration::from_secs(30) }
    }
}
