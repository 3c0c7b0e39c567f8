//! What the writer is waiting for now.
//!
//! A disk that hangs tells nobody: the call into the engine just does not return. So the writer notes when it calls, and
//! whoever watches the store sees for how long the call has lasted.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A call into the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// A batch is handed over. An engine that is behind with its own work makes the writer wait here, too.
    Write,
    /// What was written is made durable.
    Sync,
}

/// The calls that have not returned yet.
#[derive(Debug, Default)]
pub(super) struct Disk {
    begun: Mutex<[Option<Instant>; 2]>,
}

impl Disk {
    /// A call begins. One that began before and did not [end](Self::end) counts from its own beginning.
    pub(super) fn begin(&self, call: DiskCall, at: Instant) {
        self.begun.lock()[call as usize].get_or_insert(at);
    }

    /// It returned.
    pub(super) fn end(&self, call: DiskCall) {
        self.begun.lock()[call as usize] = None;
    }

    /// For how long the call has not returned. `None`: it does not run.
    pub(super) fn waiting(&self, call: DiskCall, at: Instant) -> Option<Duration> {
        self.begun.lock()[call as usize].map(|since| at.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_from_its_beginning_until_it_returns() {
        let (disk, start) = (Disk::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(disk.waiting(DiskCall::Sync, start), None);
        disk.begin(DiskCall::Sync, start);
        disk.begin(DiskCall::Sync, after(2));
        disk.begin(DiskCall::Write, after(6));
        assert_eq!(disk.waiting(DiskCall::Sync, after(7)), Some(Duration::from_secs(7)));
        assert_eq!(disk.waiting(DiskCall::Write, after(7)), Some(Duration::from_secs(1)));
        disk.end(DiskCall::Sync);
        assert_eq!(disk.waiting(DiskCall::Sync, after(8)), None);
        assert_eq!(disk.waiting(DiskCall::Write, after(8)), Some(Duration::from_secs(2)));
    }
}
