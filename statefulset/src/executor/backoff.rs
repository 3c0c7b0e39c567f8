//! How long a container that ended waits until it is started again, as the kubelet has it.

use std::time::Duration;

/// The first wait. The first restart itself waits for nothing.
const FIRST: Duration = Duration::from_secs(10);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(300);
/// Who ran for that long is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// The restarts of one container.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// How long to wait now that it ended after it `ran` for that long.
    pub fn ended(&mut self, ran: Duration) -> Duration {
        if ran >= FORGIVEN_AFTER {
            self.next = Duration::ZERO;
        }
        let wait = self.next;
        self.next = (wait * 2).clamp(FIRST, LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.ended(Duration::from_secs(1)).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn who_ran_for_long_begins_anew() {
        let mut backoff = Backoff::default();
        let waits = [(); 5].map(|()| backoff.ended(Duration::ZERO));
        assert!(waits[4] > FIRST);
        assert_eq!(backoff.ended(FORGIVEN_AFTER), Duration::ZERO);
    }
}
