//! Only one process uses a folder.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// Name of the file that is locked. It stays; only the lock on it counts, and that ends with the process.
const FILE: &str = "LOCK";

/// Why the folder could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process, or another handle of this one, holds it.
    InUse,
    /// The operating system refused.
    Io(io::Error),
}

/// Held as long as the folder is used.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `folder`, at once or not at all.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let file =
            File::options().create(true).append(true).open(folder.join(FILE)).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}
