//! How long a restart waits, beyond OTP: the wait doubles with each restart in a row, and is spread by chance so that many
//! children do not come back in the same moment. Pure: chance comes in as a number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The wait before a restart.
///
/// ```
/// use std::time::Duration;
/// use playhouse::process::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
/// assert_eq!(backoff.delay(0, 1.0), Duration::from_millis(100));
/// assert_eq!(backoff.delay(3, 1.0), Duration::from_millis(800));
/// assert_eq!(backoff.delay(3, 0.0), Duration::from_millis(400));
/// assert_eq!(backoff.delay(60, 1.0), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    first: Duration,
    delay_max: Duration,
}

impl Backoff {
    /// Waits up to `first` before the first restart in a row, then twice as long each time, never longer than `delay_max`.
    ///
    /// A child that has run for `delay_max` begins again with `first`.
    #[must_use]
    pub const fn new(first: Duration, delay_max: Duration) -> Self {
        Self { first, delay_max }
    }

    /// The wait after `in_row` restarts without a calm time between them. `jitter`, from 0 to 1, chooses from the upper half.
    #[must_use]
    pub fn delay(&self, in_row: u32, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(in_row);
        let whole = self.first.saturating_mul(factor).min(self.delay_max);
        let half = whole / 2;
        half + (whole - half).mul_f64(jitter.clamp(0.0, 1.0))
    }

    /// Whether a child that ran for so long has calmed down.
    pub(super) fn is_calm_after(&self, ran: Duration) -> bool {
        ran >= self.delay_max
    }
}
