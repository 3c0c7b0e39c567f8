//! Latencies in a histogram: fixed memory, three digits, however many there are. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart, in microseconds: an hour. No request may take longer.
const LATENCY_US_MAX: u64 = 3600 * 1_000_000;
/// Values are kept to so many digits: within 0.1 %.
const DIGITS: u8 = 3;

/// How long answers took.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// The histogram as numbers, so that reports can be added up and asked for other quantiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// `us`: microseconds.
    pub unit: String,
    /// To how many digits values are kept.
    pub significant_digits: u8,
    /// Pairs, ascending: the highest value that a bucket holds, and how many it holds. Empty buckets are left out.
    pub buckets: Vec<(u64, u64)>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("the bounds are in order"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.clamp(1, LATENCY_US_MAX));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of all did not exceed; `None` when there is none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        self.of(|all| all.value_at_quantile(quantile))
    }

    /// The shortest.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        self.of(Histogram::min)
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.of(Histogram::max)
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_secs_f64(self.0.mean() / 1e6))
    }

    /// The histogram as numbers.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let bucket = |value: u64, count: u64| (self.0.highest_equivalent(value), count);
        let recorded = self.0.iter_recorded();
        let buckets = recorded.map(|step| bucket(step.value_iterated_to(), step.count_at_value()));
        Buckets { unit: "us".to_owned(), significant_digits: DIGITS, buckets: buckets.collect() }
    }

    fn of(&self, what: impl FnOnce(&Histogram<u64>) -> u64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(what(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_latencies_there_is_no_figure() {
        let none = Latencies::default();
        assert_eq!((none.min(), none.mean(), none.quantile(0.99), none.max()), (None, None, None, None));
        assert!(none.buckets().buckets.is_empty());
    }

    #[test]
    fn what_is_too_long_is_kept_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::MAX);
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.max().unwrap() >= Duration::from_secs(3600));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_thousandth(mut micros in proptest::collection::vec(1u64..10_000_000, 1..300)) {
            let mut latencies = Latencies::default();
            micros.iter().for_each(|&us| latencies.record(Duration::from_micros(us)));
            micros.sort_unstable();
            for quantile in [0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let rank = ((micros.len() as f64 * quantile).ceil() as usize).clamp(1, micros.len());
                let exact = micros[rank - 1] as f64;
                let found = latencies.quantile(quantile).unwrap().as_micros() as f64;
                prop_assert!(found >= exact && found <= exact * 1.001 + 1.0, "{quantile}: {found}, not {exact}");
            }
        }

        #[test]
        fn buckets_hold_each_latency_once(micros in proptest::collection::vec(1u64..10_000_000, 0..300)) {
            let mut latencies = Latencies::default();
            micros.iter().for_each(|&us| latencies.record(Duration::from_micros(us)));
            let buckets = latencies.buckets().buckets;
            prop_assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), micros.len() as u64);
            prop_assert!(buckets.iter().map(|(value, _)| value).is_sorted());
            for &us in &micros {
                let holder = buckets.iter().find(|(highest, _)| *highest >= us).unwrap();
                prop_assert!((holder.0 - us) as f64 <= us as f64 * 0.001 + 1.0);
            }
        }
    }
}
