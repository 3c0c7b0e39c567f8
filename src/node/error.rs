//! Why a node did not start.

use playhouse_cluster::{consensus::OpenError, identity::IdentityError, store::StoreError};

/// The node did not start. Nothing on its volume was deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The volume does not belong to this node, or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A Raft group did not start.
    #[error(transparent)]
    Group(#[from] OpenError),
    /// Something failed for good while the node started.
    #[error("the node cannot serve: {reason}")]
    Fatal {
        /// What failed.
        reason: String,
    },
    /// Shards have no leader.
    #[error("only {led} of {shards} shards have a leader; look at the log for the others")]
    NoLeaders {
        /// How many have one.
        led: usize,
        /// How many there are.
        shards: usize,
    },
}
