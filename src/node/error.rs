//! Why a node did not start.

use playhouse_cluster::{
    consensus::OpenError,
    identity::{ClusterId, IdentityError, Incarnation},
    peering::{PeeringError, processes},
    store::StoreError,
};

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
    /// The link to other nodes did not start.
    #[error(transparent)]
    Peering(#[from] PeeringError),
    /// References to processes of other nodes could not be started.
    #[error(transparent)]
    Processes(#[from] processes::StartError),
    /// The cluster does not take this node in, now or later, as it is.
    #[error("this node cannot be a member of the cluster: {reason}")]
    Join {
        /// Why, and what to do.
        reason: String,
    },
    /// What lies on the volume is an old copy. Votes and entries that it promised since are missing, so it must not
    /// take part.
    #[error(
        "the volume was restored from an old copy: it was last used by the start {}, and the cluster knows the start {} of it; \
         give the node an empty volume, and it gets its replicas from the others", volume.0, known.0
    )]
    RestoredVolume {
        /// The newest start that the cluster knows.
        known: Incarnation,
        /// The last start that the volume knows.
        volume: Incarnation,
    },
    /// The volume holds what was restored from a backup, and only a new cluster may begin with that.
    #[error(
        "the volume was restored from a backup, and {peer} belongs to the cluster {cluster_id}: what was restored is never mixed \
         with what a cluster has; nothing was changed. Start all other nodes with empty volumes, or give this one an empty volume"
    )]
    Restored {
        /// Who belongs to a cluster.
        peer: String,
        /// Which.
        cluster_id: ClusterId,
    },
    /// A program of processes did not start.
    #[error("the application {name} did not start: {reason}")]
    Application {
        /// Which.
        name: String,
        /// What it said.
        reason: String,
    },
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
