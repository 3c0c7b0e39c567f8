//! Why a backup cannot be written or used.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A backup cannot be written or used. A folder that exists is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A backup never replaces anything.
    #[error("{} exists; nothing was written. Give the name of a folder that does not exist yet", _0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("could not access {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has its name, but the disk did not confirm that.
    #[error("the backup {} is whole, but its name may not survive a power loss: look at the disk, then verify it", path.display())]
    NotSynced {
        /// The folder of the backup.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged: {reason}; use another backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another release wrote it.
    #[error("{} has format {found}, this release reads {}; use the release that wrote it", path.display(), super::FORMAT)]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

impl BackupError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}
