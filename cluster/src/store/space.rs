//! Whether the volume has space for more.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::{StoreError, config::SPACE_RETRY};
use crate::environment::Environment;

/// Looks at the free space of a volume, but not before every write.
pub(super) struct Space {
    path: Option<PathBuf>,
    /// Says how many bytes the volume of a path has free.
    free_bytes: fn(&Path) -> Result<u64, StoreError>,
    reserve_bytes: u64,
    environment: Environment,
    looked_at: Option<Instant>,
    /// How much may still be written before the next look.
    allowance_bytes: u64,
}

impl Space {
    /// Watches the volume of `path`; without one there is always space.
    pub(super) fn new(path: Option<&Path>, reserve_bytes: u64, environment: &Environment) -> Self {
        Self {
            path: path.map(Path::to_owned),
            free_bytes,
            reserve_bytes,
            environment: environment.clone(),
            looked_at: None,
            allowance_bytes: 0,
        }
    }

    /// Allows `bytes` more, or says that the reserve would be touched.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), StoreError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.must_look(bytes) {
            self.look(bytes)?;
        }
        self.allowance_bytes = self.allowance_bytes.saturating_sub(bytes);
        Ok(())
    }

    fn must_look(&self, bytes: u64) -> bool {
        let now = self.environment.now();
        self.path.is_some()
            && (bytes > self.allowance_bytes
                || self.looked_at.is_none_or(|at| now.duration_since(at) >= SPACE_RETRY))
    }

    fn look(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(path) = &self.path else { return Ok(()) };
        let free_bytes = (self.free_bytes)(path)?;
        self.looked_at = Some(self.environment.now());
        // A quarter: others write to the volume too, and engines write more than what they are given.
        self.allowance_bytes = free_bytes.saturating_sub(self.reserve_bytes) / 4;
        if free_bytes.saturating_sub(bytes) < self.reserve_bytes {
            self.allowance_bytes = 0;
            let (path, needed_bytes) = (path.clone(), self.reserve_bytes.saturating_add(bytes));
            return Err(StoreError::Full { path, free_bytes, needed_bytes });
        }
        self.allowance_bytes = self.allowance_bytes.max(bytes);
        Ok(())
    }
}

/// What an ordinary process may still write to the volume of `path`, in bytes.
pub(super) fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let volume = rustix::fs::statvfs(path).map_err(|error| StoreError::io(path, error.into()))?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// What an ordinary process may have on the volume of `path` at all: what is free and what is used, as `df` counts it. What
/// the file system keeps for root is neither.
pub(super) fn size_bytes(path: &Path) -> Result<u64, StoreError> {
    let volume = rustix::fs::statvfs(path).map_err(|error| StoreError::io(path, error.into()))?;
    let kept = volume.f_bfree.saturating_sub(volume.f_bavail);
    Ok(volume.f_blocks.saturating_sub(kept).saturating_mul(volume.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 1_000;

    fn space(free_bytes: fn(&Path) -> Result<u64, StoreError>) -> Space {
        let environment = Environment::simulated(1);
        Space { free_bytes, ..Space::new(Some(Path::new("volume")), RESERVE, &environment) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_never_touched() {
        let mut space = space(|_| Ok(1_100));
        space.take(100).unwrap();
        let refused = space.take(101);
        assert!(matches!(refused, Err(StoreError::Full { free_bytes: 1_100, needed_bytes: 1_101, .. })));
        space.take(100).unwrap(); // It is looked at again as soon as somebody asks.
    }

    /// A volume with much space is looked at rarely, but never later than the retry interval.
    #[tokio::test(start_paused = true)]
    async fn a_volume_with_space_is_not_looked_at_for_each_write() {
        let mut space = space(|_| Ok(RESERVE + 400));
        space.take(10).unwrap();
        space.free_bytes = |_| panic!("looked too early");
        (0..9).for_each(|_| space.take(10).unwrap());

        space.free_bytes = |_| Ok(RESERVE);
        assert!(space.take(10).is_err(), "wrote more than a quarter of what was free without a look");
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_is_looked_at_after_a_while() {
        let mut space = space(|_| Ok(RESERVE + 400));
        space.take(1).unwrap();
        space.free_bytes = |_| Ok(RESERVE);
        tokio::time::advance(SPACE_RETRY).await;
        assert!(space.take(1).is_err());
    }

    #[test]
    fn a_volume_is_larger_than_what_is_free_on_it() {
        let (folder, nowhere) = (tempfile::tempdir().unwrap(), Path::new("/no/such/volume"));
        let (size, free) = (size_bytes(folder.path()).unwrap(), free_bytes(folder.path()).unwrap());
        assert!(size > 0 && free <= size, "{free} of {size}");
        assert!(size_bytes(nowhere).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_volume_there_is_always_space() {
        let mut space = Space { path: None, ..space(|_| panic!("there is no volume")) };
        space.take(usize::MAX).unwrap();
    }
}
