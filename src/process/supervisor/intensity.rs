//! How many restarts there were lately. Pure: the time comes in as the age of the supervisor.

use std::{collections::VecDeque, time::Duration};

/// The restarts within the last period.
#[derive(Debug)]
pub(super) struct Restarts {
    intensity: usize,
    period: Duration,
    /// At most `intensity` of them.
    times: VecDeque<Duration>,
}

impl Restarts {
    pub(super) fn new(intensity: u32, period: Duration) -> Self {
        let intensity = usize::try_from(intensity).unwrap_or(usize::MAX);
        Self { intensity, period, times: VecDeque::new() }
    }

    /// Notes a restart, unless it is one too many.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        while self.times.front().is_some_and(|at| now.saturating_sub(*at) > self.period) {
            self.times.pop_front();
        }
        let admitted = self.times.len() < self.intensity;
        if admitted {
            self.times.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_intensity_of_zero_admits_no_restart() {
        assert!(!Restarts::new(0, SECOND).admit(SECOND));
    }

    #[test]
    fn a_restart_counts_until_the_period_is_over() {
        let mut restarts = Restarts::new(1, SECOND * 5);
        assert!(restarts.admit(SECOND));
        assert!(!restarts.admit(SECOND * 6));
        assert!(restarts.admit(SECOND * 6 + Duration::from_millis(1)));
    }

    proptest! {
        /// No window as long as the period holds more restarts than the intensity.
        #[test]
        fn no_period_holds_more_than_the_intensity(
            intensity in 0_u32..5,
            period in 0_u64..20,
            gaps in prop::collection::vec(0_u64..10, 0..80),
        ) {
            let mut restarts = Restarts::new(intensity, Duration::from_secs(period));
            let (mut now, mut admitted) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if restarts.admit(Duration::from_secs(now)) {
                    admitted.push(now);
                }
            }
            for start in &admitted {
                let within = admitted.iter().filter(|at| (*start..=start + period).contains(at)).count();
                prop_assert!(within <= intensity as usize);
            }
        }
    }
}
