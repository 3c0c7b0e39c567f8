//! How far writes and syncs came: what lets a restart tell a torn tail from damage.
//!
//! Each write carries a [`Mark`] under a reserved key. Beside the tree lies the file `synced`, overwritten after
//! each sync and left to the operating system to write: after the death of the process it is exact, after the
//! loss of power it may be older, never newer than what is on disk.
//!
//! ```text
//! mark   = write: u64 LE │ synced: u64 LE │ xxh3_64 of both: u64 LE
//! ```

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use crate::store::RESERVED_PREFIX;

/// Length of a mark, in bytes.
pub(super) const MARK_BYTES: usize = 24;

/// Name of the file beside the tree.
const FILE: &str = "synced";

/// The reserved key. No caller can write or read it.
pub(super) fn key() -> Vec<u8> {
    [RESERVED_PREFIX, b"mark"].concat()
}

/// The position of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of this write; counts up from 1.
    pub(super) write: u64,
    /// The highest write that was synced when this one was made.
    pub(super) synced: u64,
}

impl Mark {
    pub(super) fn encode(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.write.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.synced.to_le_bytes());
        let checksum = xxh3_64(&bytes[..16]);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// None: this is no mark.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, checksum) = bytes.split_at_checked(16)?;
        let number = |at: usize| numbers[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let is_whole = checksum == xxh3_64(numbers).to_le_bytes();
        is_whole.then_some(Self { write: number(0)?, synced: number(8)? })
    }
}

/// The file that remembers the last sync.
pub(super) struct SyncedFile(File);

impl SyncedFile {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.open(folder.join(FILE)).map(Self)
    }

    /// The highest write known to be synced; 0 if the file says nothing (new, or torn by a loss of power).
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut bytes = [0; MARK_BYTES];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Mark::decode(&bytes).map_or(0, |mark| mark.synced)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Remembers that all writes up to `synced` are on disk.
    pub(super) fn write(&self, synced: u64) -> io::Result<()> {
        self.0.write_all_at(&Mark { write: synced, synced }.encode(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_again_and_damage_is_noticed() {
        let mark = Mark { write: 7, synced: 5 };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        assert_eq!(Mark::decode(&bytes[1..]), None);
        for at in 0..MARK_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Mark::decode(&damaged), None);
        }
    }

    #[test]
    fn the_file_remembers_the_last_sync() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(SyncedFile::open(folder.path()).unwrap().read().unwrap(), 0);
        SyncedFile::open(folder.path()).unwrap().write(9).unwrap();
        assert_eq!(SyncedFile::open(folder.path()).unwrap().read().unwrap(), 9);
    }
}
