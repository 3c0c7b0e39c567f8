//! Patience with an engine that was dropped a moment ago.

use std::time::Duration;

use super::StoreError;

/// Tries again while the folder is in use, for two seconds: engines let go of their files on threads of their own, some
/// time after the store was dropped.
pub(super) fn when_released<T>(open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    const TRIES: u32 = 200;
    const AGAIN: Duration = Duration::from_millis(10);
    for _ in 1..TRIES {
        match open() {
            Err(StoreError::InUse { .. }) => std::thread::sleep(AGAIN),
            opened => return opened,
        }
    }
    open()
}
