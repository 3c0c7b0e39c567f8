//! What came of the requests, while they run and at the end. Pure: moments are passed in, counted from the begin of the run.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Latencies, Plan};

/// How many error codes are told apart; a kind may refuse with as many codes as it likes.
const CODES_MAX: usize = 100;
/// Under which name all further codes are counted.
const OTHER: &str = "other";

/// Requests, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that the pace asked for.
    pub intended: u64,
    /// Those that were handed to the transport. The others failed without being sent.
    pub sent: u64,
    /// Those with a good answer.
    pub answered: u64,
    /// Those with another answer, or none.
    pub failed: u64,
}

impl Counts {
    /// Those that have neither an answer nor failed.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.intended.saturating_sub(self.answered + self.failed)
    }
}

/// One second of the measured time, and what happened in it: an answer counts when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// From 0 on. Answers that arrive behind the end of the run are in the seconds behind it.
    pub second: u64,
    /// What happened.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The book of a run.
#[derive(Clone, Debug)]
pub struct Tally {
    warm_up_time: Duration,
    end: Duration,
    warm_up: Counts,
    measured: Counts,
    arrived: u64,
    errors: BTreeMap<String, u64>,
    latencies: Latencies,
    series: Vec<Second>,
}

impl Tally {
    /// An empty book.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            warm_up_time: plan.warm_up,
            end: plan.warm_up + plan.duration,
            warm_up: Counts::default(),
            measured: Counts::default(),
            arrived: 0,
            errors: BTreeMap::new(),
            latencies: Latencies::default(),
            series: Vec::new(),
        }
    }

    /// A request that the pace asks for at `intended`.
    pub fn intend(&mut self, intended: Duration) {
        self.count(intended, intended, |counts| counts.intended += 1);
    }

    /// It is handed to the transport.
    pub fn send(&mut self, intended: Duration, now: Duration) {
        self.count(intended, now, |counts| counts.sent += 1);
    }

    /// It has a good answer.
    pub fn answer(&mut self, intended: Duration, now: Duration) {
        // The rate is counted where answers arrive: also those to requests of the warm-up.
        self.arrived += u64::from(now >= self.warm_up_time && now < self.end);
        if self.count(intended, now, |counts| counts.answered += 1) {
            self.latencies.record(now.saturating_sub(intended));
        }
    }

    /// The measured time ends at `now`, if it has not ended before: what arrives later does not count for the rate.
    pub fn cut(&mut self, now: Duration) {
        self.end = self.end.min(now);
    }

    /// It has another answer, or none.
    pub fn fail(&mut self, intended: Duration, now: Duration, code: &str) {
        if self.count(intended, now, |counts| counts.failed += 1) {
            self.count_error(code);
        }
    }

    fn count_error(&mut self, code: &str) {
        // Nearly all codes are known: these take no memory.
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else {
            let code = if self.errors.len() < CODES_MAX { code } else { OTHER };
            *self.errors.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Whether it belongs to the measured time.
    fn count(&mut self, intended: Duration, now: Duration, add: impl Fn(&mut Counts)) -> bool {
        if intended < self.warm_up_time {
            add(&mut self.warm_up);
            return false;
        }
        add(&mut self.measured);
        add(&mut self.second(now.saturating_sub(self.warm_up_time).as_secs()).counts);
        true
    }

    /// The series has no gaps, and ends with the run and the time that its last requests may take: both are bounded.
    fn second(&mut self, second: u64) -> &mut Second {
        for missing in self.series.len() as u64..=second {
            self.series.push(Second { second: missing, counts: Counts::default() });
        }
        &mut self.series[usize::try_from(second).expect("a run has few seconds")]
    }

    /// Requests of the warm-up.
    #[must_use]
    pub fn warm_up(&self) -> Counts {
        self.warm_up
    }

    /// Requests of the measured time.
    #[must_use]
    pub fn measured(&self) -> Counts {
        self.measured
    }

    /// How many good answers arrived within the measured time.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Failures of the measured time by their code.
    #[must_use]
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// How long good answers took, from the intended start.
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What happened in each second.
    #[must_use]
    pub fn series(&self) -> &[Second] {
        &self.series
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::testing::plan;

    const MS: Duration = Duration::from_millis(1);

    fn tally() -> Tally {
        Tally::new(&Plan { warm_up: 1000 * MS, duration: 3000 * MS, ..plan() })
    }

    #[test]
    fn the_warm_up_is_counted_apart_and_its_late_answers_have_no_latency() {
        let mut tally = tally();
        tally.intend(900 * MS);
        tally.send(900 * MS, 900 * MS);
        tally.answer(900 * MS, 1500 * MS);
        tally.fail(800 * MS, 900 * MS, "overloaded");
        assert_eq!(tally.warm_up(), Counts { intended: 1, sent: 1, answered: 1, failed: 1 });
        assert_eq!(tally.measured(), Counts::default());
        assert_eq!((tally.arrived(), tally.latencies().count()), (1, 0));
        assert!(tally.errors().is_empty());
    }

    #[test]
    fn an_answer_counts_in_the_second_in_which_it_arrives() {
        let mut tally = tally();
        tally.intend(1100 * MS);
        tally.send(1100 * MS, 1100 * MS);
        tally.answer(1100 * MS, 3200 * MS);
        let counts: Vec<_> = tally.series().iter().map(|second| second.counts.answered).collect();
        assert_eq!(counts, [0, 0, 1]);
        assert!((2100..2103).contains(&tally.latencies().max().unwrap().as_millis()));
    }

    #[test]
    fn codes_have_a_bound_and_nothing_is_lost_past_it() {
        let mut tally = tally();
        for code in 0..3 * CODES_MAX {
            tally.fail(2000 * MS, 2000 * MS, &format!("refused.{code}"));
        }
        assert_eq!(tally.errors().len(), CODES_MAX + 1);
        assert_eq!(tally.errors()[OTHER], 2 * CODES_MAX as u64);
    }

    proptest! {
        /// Whatever happens: each request is somewhere, the series adds up to the sum, and each answer has its latency.
        #[test]
        fn the_book_balances(requests in proptest::collection::vec((0u64..5000, 0u64..3000, 0u8..3), 0..300)) {
            let mut tally = tally();
            for &(intended, took, what) in &requests {
                let (intended, end) = (Duration::from_millis(intended), Duration::from_millis(intended + took));
                tally.intend(intended);
                match what {
                    0 => tally.fail(intended, intended, "in_flight_full"),
                    1 => { tally.send(intended, intended); tally.fail(intended, end, "unavailable"); }
                    _ => { tally.send(intended, intended); tally.answer(intended, end); }
                }
            }
            let (measured, warm_up) = (tally.measured(), tally.warm_up());
            prop_assert_eq!(measured.intended + warm_up.intended, requests.len() as u64);
            prop_assert_eq!(measured.intended, measured.answered + measured.failed);
            prop_assert_eq!(tally.latencies().count(), measured.answered);
            prop_assert_eq!(tally.errors().values().sum::<u64>(), measured.failed);
            let sum = |of: fn(&Counts) -> u64| tally.series().iter().map(|second| of(&second.counts)).sum::<u64>();
            prop_assert_eq!(sum(|counts| counts.intended), measured.intended);
            prop_assert_eq!(sum(|counts| counts.sent), measured.sent);
            prop_assert_eq!(sum(|counts| counts.answered), measured.answered);
            prop_assert_eq!(sum(|counts| counts.failed), measured.failed);
            prop_assert!((0..).zip(tally.series()).all(|(number, second): (u64, _)| second.second == number));
        }
    }
}
