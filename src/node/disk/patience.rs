//! How long a call into the disk may last.

use std::time::Duration;

use playhouse_cluster::store::{DiskCall, Probe};
use tokio::time::Instant;

use crate::node::HangsAfter;

/// How often is looked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks at a disk again and again, until it has waited long enough.
pub(super) struct Patience {
    sync: Waiting,
    write: Waiting,
    hangs_after: HangsAfter,
}

/// One call, as it was seen.
///
/// Counted in looks, not by the clock: a process that was stopped for a minute, or a machine that was paused, finds its call
/// a minute old when it goes on, and its disk is well.
#[derive(Default)]
struct Waiting {
    begun: Option<Instant>,
    looks: u32,
}

impl Patience {
    pub(super) fn new(hangs_after: HangsAfter) -> Self {
        Self { sync: Waiting::default(), write: Waiting::default(), hangs_after }
    }

    /// To be called every [`LOOK_EVERY`]. Says which call does not return, and for how long that was seen, once it has lasted
    /// too long.
    pub(super) fn look(&mut self, disk: &Probe) -> Option<(DiskCall, Duration)> {
        let mut late = |call: DiskCall| {
            let waiting = match call {
                DiskCall::Sync => &mut self.sync,
                DiskCall::Write => &mut self.write,
            };
            let waited = waiting.look(disk.begun(call));
            (waited >= self.hangs_after.limit(call)).then_some((call, waited))
        };
        // Both are looked at each time.
        let (sync, write) = (late(DiskCall::Sync), late(DiskCall::Write));
        sync.or(write)
    }
}

impl Waiting {
    fn look(&mut self, begun: Option<Instant>) -> Duration {
        let is_same = begun.is_some() && begun == self.begun;
        self.looks = if is_same { self.looks.saturating_add(1) } else { 0 };
        self.begun = begun;
        LOOK_EVERY.saturating_mul(self.looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_seen_from_look_to_look() {
        let (mut waiting, begun) = (Waiting::default(), Instant::now());
        let waited: Vec<_> = (0..4).map(|_| waiting.look(Some(begun))).collect();
        assert_eq!(waited, [0, 1, 2, 3].map(|looks| LOOK_EVERY * looks));
    }

    #[test]
    fn another_call_begins_from_nothing() {
        let (mut waiting, begun) = (Waiting::default(), Instant::now());
        let looks =
            [Some(begun), Some(begun), Some(begun + LOOK_EVERY), None, None, Some(begun), Some(begun)];
        let waited = looks.map(|begun| waiting.look(begun));
        assert_eq!(waited, [0, 1, 0, 0, 0, 0, 1].map(|looks| LOOK_EVERY * looks));
    }
}
