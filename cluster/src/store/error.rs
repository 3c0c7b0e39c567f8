//! Why the store did not do it.

use std::path::{Path, PathBuf};

use super::DiskCall;
use crate::volume::LockError;

/// Why bytes could not be kept or read. Nothing was deleted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing of the batch was written. It can be written when there is space again.
    #[error(
        "the volume of {path} is full: {free_bytes} bytes free, {needed_bytes} must stay free; free some space or grow the volume"
    )]
    Full {
        /// Where the store is.
        path: PathBuf,
        /// What is free now.
        free_bytes: u64,
        /// What must stay free.
        needed_bytes: u64,
    },

    /// The disk did not confirm. What reached it is unknown until the next recovery; the store accepts no more writes.
    #[error("could not make data durable: {reason}; restart the node, it recovers from what is on disk")]
    Sync {
        /// What the operating system said.
        reason: String,
    },

    /// The disk does not answer. What it was given last is unknown until the next recovery; the store accepts no more writes.
    #[error(
        "the disk hangs: a {call} has not returned for {seconds} s; look at the volume, then restart the node, it recovers from what is on disk"
    )]
    Hangs {
        /// What does not return.
        call: DiskCall,
        /// For how long.
        seconds: u64,
    },

    /// Reading or writing failed. The store accepts no more writes.
    #[error("could not access {path}: {reason}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },

    /// A checksum or a length is wrong. The file is left as it is.
    #[error(
        "{path} is damaged: {reason}; nothing was deleted. Give the node an empty volume and let its peers fill it; a node without peers begins again from a backup"
    )]
    Corrupt {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The files were written in another format. They are left as they are.
    #[error(
        "{path} has format {found}, this release reads {supported}; nothing was changed. Start the release that wrote it"
    )]
    ForeignFormat {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this release reads.
        supported: String,
    },

    /// The files belong to another engine. They are left as they are.
    #[error(
        "{path} was written by the engine {found}, but {wanted} is configured; nothing was changed. Configure {found}, or give the node an empty volume and let its peers fill it"
    )]
    OtherEngine {
        /// Where the store is.
        path: PathBuf,
        /// Which engine wrote it.
        found: &'static str,
        /// Which one is configured.
        wanted: &'static str,
    },

    /// Another process has the store open.
    #[error("{path} is in use by another process; stop it first")]
    InUse {
        /// Which folder.
        path: PathBuf,
    },

    /// Nothing was written or copied.
    #[error("a {what} of {bytes} bytes is too large, at most {bytes_max} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },

    /// Nothing was written: a key is empty, or starts with [`RESERVED_PREFIX`](super::RESERVED_PREFIX).
    #[error("a key is {what}; keys have at least one byte and do not start with eight bytes 0xff")]
    Key {
        /// What is wrong with it.
        what: &'static str,
    },

    /// The store was closed, or refused everything after an earlier error.
    #[error("the store no longer accepts writes: {reason}")]
    Closed {
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// The operating system refused.
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason: error.to_string() }
    }

    /// The folder could not be locked.
    pub(crate) fn in_use(path: &Path, error: LockError) -> Self {
        match error {
            LockError::InUse => Self::InUse { path: path.to_owned() },
            LockError::Io(error) => Self::io(path, error),
        }
    }

    /// Nothing more is accepted.
    pub(crate) fn closed(reason: &str) -> Self {
        Self::Closed { reason: reason.to_owned() }
    }

    /// Whether the store must not be written any more after this.
    pub(crate) fn is_loss_of_trust(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Io { .. } | Self::Corrupt { .. })
    }
}
