//! Why a node does not know who it is.

use std::{
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use super::ClusterId;
use crate::volume::LockError;

/// Why the node must not run with this volume. Nothing on it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The name cannot be kept.
    #[error("{name:?} is no name for a node: it must be one line and not empty; nothing was changed")]
    BadName {
        /// What the node was told.
        name: String,
    },

    /// Another process has the volume open.
    #[error("the volume {path} is in use by another process; nothing was changed. Stop that process first")]
    InUse {
        /// The folder of the volume.
        path: PathBuf,
    },

    /// The operating system refused.
    #[error("could not access {path}; correct what is said below and start again")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The file was cut, or changed by hand.
    #[error(
        "{path} is damaged: {reason}; nothing was changed. Restore the file from a backup of this volume, or give the node an empty volume and let its peers fill it"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// There is data but no identity.
    #[error(
        "{path} is missing, but the volume is not empty; nothing was changed. Mount the right folder, restore the file, or give the node an empty volume"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },

    /// An empty volume is needed.
    #[error(
        "{path} is not empty; nothing was changed. Give an empty folder, or remove by hand what is in this one if nobody needs it"
    )]
    NotEmpty {
        /// The folder of the volume.
        path: PathBuf,
    },

    /// The file was written in another format.
    #[error(
        "{path} has format {found}, this release reads {supported}; nothing was changed. Start the release that wrote it"
    )]
    ForeignFormat {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this release reads.
        supported: u32,
    },

    /// The volume belongs to another node.
    #[error(
        "{path} says that this volume belongs to the node {found}, but this node is {wanted}; nothing was changed. Mount the volume of {wanted}, or start the node as {found}"
    )]
    OtherName {
        /// Which file.
        path: PathBuf,
        /// Whose volume it is.
        found: String,
        /// Who the node is.
        wanted: String,
    },

    /// The cluster has another number of shards; it cannot be changed.
    #[error(
        "{path} says that this cluster has {found} shards, but {wanted} are configured; nothing was changed. The number is fixed when the cluster is formed: configure {found}"
    )]
    OtherShards {
        /// Which file.
        path: PathBuf,
        /// What the cluster was formed with.
        found: NonZeroU32,
        /// What the configuration says.
        wanted: NonZeroU32,
    },

    /// The volume belongs to another cluster.
    #[error(
        "{path} says that this volume belongs to the cluster {found}, but {wanted} is asked for; nothing was changed. Point the node at the peers of {found}, or give it an empty volume to join {wanted}"
    )]
    OtherCluster {
        /// Which file.
        path: PathBuf,
        /// Which cluster it belongs to.
        found: ClusterId,
        /// Which one it should belong to.
        wanted: ClusterId,
    },
}

impl IdentityError {
    /// The operating system refused.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The volume could not be locked.
    pub(super) fn in_use(path: &Path, error: LockError) -> Self {
        match error {
            LockError::InUse => Self::InUse { path: path.to_owned() },
            LockError::Io(error) => Self::io(path, error),
        }
    }
}
