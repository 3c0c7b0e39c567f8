//! Only one process uses a folder.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// Why the folder could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process, or another handle of this one, holds it.
    InUse,
    /// The operating system refused.
    Io(io::Error),
}

/// Held as long as the folder is used. The lock is on the folder itself, so nothing is written, and it ends with
/// the process.
#[derive(Debug)]
pub(crate) struct Lock {
    folder: File,
}

impl Lock {
    /// Locks `folder`, at once or not at all.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let folder = File::open(folder).map_err(LockError::Io)?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { folder }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started holds the same file for a moment.
        // If this fails the lock ends with the process.
        self.folder.unlock().unwrap_or_default();
    }
}
