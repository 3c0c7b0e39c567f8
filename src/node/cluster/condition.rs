//! Tells peers whether the store of this node takes writes, so that nobody gives it leaderships while it does not.

use playhouse_cluster::environment::watch;
use playhouse_cluster::{peering::Peering, store::Health};

/// Tells of each change until `stopped`.
pub(in crate::node) async fn tell(
    peering: Option<Peering>,
    mut health: watch::Receiver<Health>,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(peering) = peering else { return };
    while !*stopped.borrow_and_update() {
        peering.set_store_healthy(health.borrow_and_update().is_healthy());
        tokio::select! {
            biased;
            _ = stopped.changed() => {}
            changed = health.changed() => if changed.is_err() { return },
        }
    }
}
