//! Small files and folders on the volume: replaced as a whole, sealed with a checksum.

mod folder;
mod sealed;

pub(crate) use folder::{create_folder, is_empty, replace};
pub(crate) use sealed::Sealed;
