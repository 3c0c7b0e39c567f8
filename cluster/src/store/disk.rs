//! What the writer is waiting for now.
//!
//! A disk that hangs tells nobody: the call into the engine just does not return. So the writer notes when it calls, and
//! whoever watches the store sees which call has not returned yet.

use std::fmt;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A call into the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// A batch is handed over, or the engine is asked whether it can take one.
    Write,
    /// What was written is made durable.
    Sync,
}

impl fmt::Display for DiskCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Write => "write",
            Self::Sync => "sync",
        })
    }
}

/// The calls that have not returned yet.
#[derive(Debug, Default)]
pub(super) struct Disk {
    begun: Mutex<[Option<Instant>; 2]>,
}

impl Disk {
    /// A call begins. One that began before and did not [end](Self::end) keeps its beginning.
    pub(super) fn begin(&self, call: DiskCall, at: Instant) {
        self.begun.lock()[call as usize].get_or_insert(at);
    }

    /// It returned.
    pub(super) fn end(&self, call: DiskCall) {
        self.begun.lock()[call as usize] = None;
    }

    /// When the call began. `None`: there is no such call now.
    pub(super) fn begun(&self, call: DiskCall) -> Option<Instant> {
        self.begun.lock()[call as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_call_has_begun_until_it_returns() {
        let (disk, start) = (Disk::default(), Instant::now());
        let later = start + Duration::from_secs(2);
        assert_eq!(disk.begun(DiskCall::Sync), None);
        disk.begin(DiskCall::Sync, start);
        disk.begin(DiskCall::Sync, later);
        disk.begin(DiskCall::Write, later);
        assert_eq!((disk.begun(DiskCall::Sync), disk.begun(DiskCall::Write)), (Some(start), Some(later)));
        disk.end(DiskCall::Sync);
        assert_eq!((disk.begun(DiskCall::Sync), disk.begun(DiskCall::Write)), (None, Some(later)));
    }
}
