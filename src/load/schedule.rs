//! When each request of an open loop is intended to start. Pure: chance comes from a seed.
//!
//! The moments do not depend on what the target does. That is the point: a target that stalls does not make its load wait.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::Arrivals;

/// The intended starts, counted from the begin, in ascending order and without end.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate: f64,
    course: Course,
}

#[derive(Clone, Debug)]
enum Course {
    /// How many there were. Each is computed from its number, so that no rounding adds up.
    Constant(u64),
    /// The last one, in seconds.
    Poisson { random: SmallRng, last: f64 },
}

impl Schedule {
    /// `rate` per second; it must be above zero.
    #[must_use]
    pub fn new(rate: f64, arrivals: Arrivals, seed: u64) -> Self {
        let course = match arrivals {
            Arrivals::Constant => Course::Constant(0),
            Arrivals::Poisson => Course::Poisson { random: SmallRng::seed_from_u64(seed), last: 0.0 },
        };
        Self { rate, course }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = match &mut self.course {
            Course::Constant(number) => {
                *number += 1;
                (*number - 1) as f64 / self.rate
            }
            Course::Poisson { random, last } => {
                // Of (0, 1]: the logarithm of 0 would be for ever.
                let chance: f64 = 1.0 - random.random::<f64>();
                *last += -chance.ln() / self.rate;
                *last
            }
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_constant_schedule_has_its_rate_and_no_drift(rate in 0.1f64..1e6, count in 1usize..2_000) {
            let starts: Vec<_> = Schedule::new(rate, Arrivals::Constant, 0).take(count).collect();
            prop_assert_eq!(starts[0], Duration::ZERO);
            for (number, start) in starts.iter().enumerate() {
                let exact = number as f64 / rate;
                prop_assert!((start.as_secs_f64() - exact).abs() < 1e-6, "{number}: {start:?}, not {exact}");
            }
        }

        #[test]
        fn a_poisson_schedule_ascends_and_a_seed_replays_it(rate in 1f64..1e5, seed: u64) {
            let starts = |seed| Schedule::new(rate, Arrivals::Poisson, seed).take(500).collect::<Vec<_>>();
            let first = starts(seed);
            prop_assert!(first.is_sorted());
            prop_assert_eq!(&first, &starts(seed));
            prop_assert_ne!(&first, &starts(seed.wrapping_add(1)));
        }

        /// The mean gap of 20,000 is within 5 % of 1 / rate (seven standard deviations), and the gaps differ.
        #[test]
        fn a_poisson_schedule_has_its_rate(seed: u64) {
            let starts: Vec<_> = Schedule::new(1_000.0, Arrivals::Poisson, seed).take(20_000).collect();
            let took = starts.last().unwrap().as_secs_f64();
            prop_assert!((19.0..21.0).contains(&took), "{took}");
            let short = starts.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_micros(693)).count();
            prop_assert!((9_000..11_000).contains(&short), "half are below the median gap: {short}");
        }
    }
}
