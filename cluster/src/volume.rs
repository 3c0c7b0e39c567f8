//! Small files and folders on the volume: replaced as a whole, sealed with a checksum, used by one process.

mod folder;
mod lock;
mod sealed;

pub(crate) use folder::{create_folder, is_empty_but_for, replace, temporary};
pub(crate) use lock::{Lock, LockError};
pub(crate) use sealed::Sealed;
