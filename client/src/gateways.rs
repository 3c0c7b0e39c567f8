//! Which gateway is asked next. Pure: the time is passed in.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Address;

/// How long a gateway is left alone after its first failure; doubles with each further one.
const REST_FIRST: Duration = Duration::from_millis(200);
/// The longest time for which a gateway is left alone.
const REST_MAX: Duration = Duration::from_secs(10);

/// Round robin among the gateways that work; a failed one rests, longer each time.
#[derive(Debug)]
pub(crate) struct Gateways {
    addresses: Vec<Address>,
    rotation: Mutex<Rotation>,
}

#[derive(Debug)]
struct Rotation {
    next: usize,
    health: Vec<Health>,
    /// Of each, since the beginning.
    failed: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
struct Health {
    /// In a row.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Health {
    fn is_ready(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now)
    }
}

/// Which gateway was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picked(usize);

impl Gateways {
    /// `addresses` must not be empty.
    pub(crate) fn new(addresses: Vec<Address>) -> Self {
        assert!(!addresses.is_empty(), "a client has at least one gateway");
        let (health, failed) = (vec![Health::default(); addresses.len()], vec![0; addresses.len()]);
        Self { addresses, rotation: Mutex::new(Rotation { next: 0, health, failed }) }
    }

    pub(crate) fn address(&self, picked: Picked) -> &Address {
        &self.addresses[picked.0]
    }

    /// The next one that does not rest; if all do, the one whose rest ends first.
    pub(crate) fn pick(&self, now: Instant) -> Picked {
        let mut rotation = self.lock();
        let count = self.addresses.len();
        let order = (0..count).map(|step| (rotation.next + step) % count);
        let health = &rotation.health;
        let ready = order.clone().find(|&index| health[index].is_ready(now));
        let picked = ready
            .or_else(|| order.min_by_key(|&index| health[index].rests_until))
            .expect("a client has at least one gateway");
        rotation.next = (picked + 1) % count;
        Picked(picked)
    }

    /// Whether any gateway is not resting.
    pub(crate) fn any_ready(&self, now: Instant) -> bool {
        self.lock().health.iter().any(|health| health.is_ready(now))
    }

    /// It answered: it is asked again without reservation.
    pub(crate) fn worked(&self, picked: Picked) {
        self.lock().health[picked.0] = Health::default();
    }

    /// It did not answer, or said that it is leaving.
    pub(crate) fn failed(&self, picked: Picked, now: Instant) {
        let mut rotation = self.lock();
        rotation.failed[picked.0] += 1;
        let health = &mut rotation.health[picked.0];
        let rest = REST_FIRST.saturating_mul(1 << health.failures.min(10)).min(REST_MAX);
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(now + rest);
    }

    /// How often each failed since the beginning.
    pub(crate) fn failed_since_begin(&self) -> Vec<(Address, u64)> {
        self.addresses.iter().cloned().zip(self.lock().failed.iter().copied()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rotation> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Gateways {
        Gateways::new(["http://a", "http://b", "http://c"].map(|a| a.parse().unwrap()).to_vec())
    }

    fn picks(gateways: &Gateways, now: Instant, count: usize) -> String {
        let host = |picked| gateways.address(picked).to_string().replace("http://", "");
        (0..count).map(|_| host(gateways.pick(now))).collect()
    }

    #[test]
    fn requests_go_round() {
        assert_eq!(picks(&three(), Instant::now(), 6), "abcabc");
    }

    #[test]
    fn a_failed_gateway_rests_and_comes_back() {
        let (gateways, start) = (three(), Instant::now());
        let a = gateways.pick(start);
        gateways.failed(a, start);
        assert_eq!(picks(&gateways, start, 4), "bcbc");
        assert_eq!(picks(&gateways, start + REST_FIRST, 3), "abc");

        gateways.worked(a);
        assert_eq!(picks(&gateways, start, 3), "abc");

        let failed: Vec<_> = gateways.failed_since_begin().into_iter().map(|(_, failed)| failed).collect();
        assert_eq!(failed, [1, 0, 0], "what is forgiven is still counted");
    }

    #[test]
    fn a_gateway_that_keeps_failing_rests_longer_up_to_a_limit() {
        let (gateways, start) = (three(), Instant::now());
        let a = gateways.pick(start);
        (0..50).for_each(|_| gateways.failed(a, start));
        assert_eq!(picks(&gateways, start + REST_MAX - Duration::from_millis(1), 2), "bc");
        assert_eq!(picks(&gateways, start + REST_MAX, 1), "a");
    }

    #[test]
    fn when_all_rest_the_first_to_be_ready_is_asked_all_the_same() {
        let (gateways, start) = (three(), Instant::now());
        for delay in [3, 1, 2] {
            let picked = gateways.pick(start);
            gateways.failed(picked, start + Duration::from_millis(delay));
        }
        assert!(!gateways.any_ready(start));
        assert_eq!(picks(&gateways, start, 1), "b");
    }
}
