//! Watches the disk: a node that can make nothing durable must not lead, and ends.
//!
//! Comes in: what the store tells about itself. Leaves: a store that is given up when its disk hangs, and the end of the node
//! when the store failed, at any time of its life: whoever waits for a write then waits for ever. Peers hear of both, and
//! leaderships move to them, as for any store that does not write ([`condition`](super::cluster::condition), movers).
//!
//! A full disk is no such end: writes wait, and go on when there is space.

mod fuse;
mod patience;

use playhouse_cluster::environment::watch;
use playhouse_cluster::store::{Health, Probe, StoreError};

pub(super) use fuse::{FUSE_AFTER, Fuse};
use patience::{LOOK_EVERY, Patience};

use super::HangsAfter;

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
    fatal.send_first(format!("the store failed: {error}"));
}

/// Makes a disk that hangs a store that failed. Ends with the store.
pub(super) async fn give_up_when_hanging(disk: Probe, after: HangsAfter) {
    let mut patience = Patience::new(after);
    while disk.is_open() {
        if let Some((call, waited)) = patience.look(&disk) {
            return disk.give_up(call, waited);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
