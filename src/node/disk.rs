//! Notices that the store failed for good, at any time of a node's life: whoever waits for a write then waits for ever.

use playhouse_cluster::environment::watch;
use playhouse_cluster::store::{Health, StoreError};

/// Returns when the store failed.
pub(super) async fn failed(mut health: watch::Receiver<Health>) -> StoreError {
    loop {
        if let Health::Failed(error) = &*health.borrow_and_update() {
            return error.clone();
        }
        if health.changed().await.is_err() {
            // Closed in order.
            return std::future::pending().await;
        }
    }
}

/// Makes the failure of the store the end of the node.
pub(super) async fn tell_failed(health: watch::Receiver<Health>, fatal: watch::Sender<Option<String>>) {
    let error = tokio::select! {
        biased;
        () = fatal.closed() => return,
        error = failed(health) => error,
    };
    tracing::error!(%error, "the store failed; the node cannot go on");
    fatal.send_if_modified(|fatal| {
        let is_first = fatal.is_none();
        fatal.get_or_insert_with(|| format!("the store failed: {error}"));
        is_first
    });
}
