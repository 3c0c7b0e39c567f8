//! How long to wait before the next attempt.

use std::time::Duration;

/// Pauses that double, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause. Default 50 ms.
    pub first: Duration,
    /// The longest pause at all. Default 2 s.
    ///
    /// Keep it well below the timeout of an operation, or a restarted node is noticed too late.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), max: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The pause after `failures` failures in a row (counting from 1), at `chance` between 0 and 1.
    ///
    /// Between half and all of `first · 2^(failures - 1)`, never more than `max`: callers that failed together
    /// do not come back together.
    pub(crate) fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let longest = self.first.saturating_mul(1 << doublings).min(self.max);
        longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_never_leave_it() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let longest: Vec<_> = (1..=6).map(|n| backoff.pause(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.pause(1, 0.0), Duration::from_millis(50));
        assert_eq!(backoff.pause(u32::MAX, 1.0), Duration::from_secs(1));
    }
}
