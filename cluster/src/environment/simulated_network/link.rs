//! One direction between two hosts: how long it takes, and whether it is cut.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::packet::Packet;

/// As much as one packet carries.
const SEGMENT_BYTES_MAX: usize = 16 << 10;
/// One in so many segments is torn at a random place, to find readers that count on whole writes.
const TORN_ONE_IN: u32 = 8;

const FASTEST_US: RangeInclusive<u64> = 100..=1_000;
const SPREAD_US: RangeInclusive<u64> = 0..=2_000;

#[derive(Debug)]
pub(super) struct Link {
    random: SmallRng,
    delay: RangeInclusive<Duration>,
    pub(super) cut: bool,
    /// Lost in the cut; sent again when it ends. Bounded by the windows of the connections.
    pub(super) lost: VecDeque<Packet>,
}

impl Link {
    /// The link has random numbers of its own, so that traffic elsewhere does not change its delays.
    pub(super) fn new(seed: u64, from: &str, to: &str) -> Self {
        let name = format!("{from}\0{to}");
        let mut random = SmallRng::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed));
        let delay = if from == to { Duration::ZERO..=Duration::ZERO } else { draw_range(&mut random) };
        Self { random, delay, cut: false, lost: VecDeque::new() }
    }

    pub(super) fn set_delay(&mut self, range: RangeInclusive<Duration>) {
        self.delay = range;
    }

    /// How long the next packet takes.
    pub(super) fn draw_delay(&mut self) -> Duration {
        let span = self.delay.end().saturating_sub(*self.delay.start());
        let share = self.random.random_range(0.0..=1.0);
        *self.delay.start() + span.mul_f64(share)
    }

    /// How many of `bytes` the next packet carries; at least 1 if there are any.
    pub(super) fn draw_segment(&mut self, bytes: usize) -> usize {
        let whole = bytes.min(SEGMENT_BYTES_MAX);
        let torn = whole > 1 && self.random.random_ratio(1, TORN_ONE_IN);
        if torn { self.random.random_range(1..whole) } else { whole }
    }
}

fn draw_range(random: &mut SmallRng) -> RangeInclusive<Duration> {
    let fastest = random.random_range(FASTEST_US);
    let slowest = fastest + random.random_range(SPREAD_US);
    Duration::from_micros(fastest)..=Duration::from_micros(slowest)
}
