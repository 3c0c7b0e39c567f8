//! Where other nodes may be.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// Tells addresses that are worth dialing. They may be wrong, dead, or our own.
pub trait Discovery: Send + Sync {
    /// The candidates of now, each as `host:port`. The current value is always there.
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>>;
}

impl Discovery for watch::Sender<BTreeSet<String>> {
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>> {
        self.subscribe()
    }
}
