//! Whether the store accepts writes.

use super::StoreError;

/// Whether the store accepts writes. A node that is not [`Healthy`](Self::Healthy) is not ready.
#[derive(Clone, Debug)]
pub enum Health {
    /// Writes are acknowledged.
    Healthy,
    /// There is no space: writes wait, none is acknowledged, none is lost. The store looks again every 100 ms
    /// and continues by itself when space returns.
    Full {
        /// What is free on the volume now, in bytes.
        free_bytes: u64,
        /// What must stay free, in bytes.
        needed_bytes: u64,
    },
    /// A write, a sync or a read failed. Every waiter received the error and so does every later write; only a
    /// restart helps, because what reached the disk is unknown until the next recovery.
    Failed(StoreError),
}

impl Health {
    /// Whether writes are acknowledged.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}
