//! Restart intensity per entity: too many crashes in too short a time quarantine it.

use std::{collections::VecDeque, time::Duration};

use playhouse_cluster::collections::Map;

use super::Limits;
use crate::protocol::{CallError, Key};

/// How many entities are remembered at most; the oldest crash is forgotten first.
const ENTITIES_MAX: usize = 4_096;

/// Who crashed when. Empty in a healthy shard.
#[derive(Default)]
pub(crate) struct Crashes {
    by_key: Map<Key, Record>,
    order: VecDeque<Key>,
}

#[derive(Default)]
struct Record {
    times: VecDeque<u64>,
    quarantined_until_ms: u64,
}

impl Crashes {
    /// Notes a crash at `now_ms`.
    pub(crate) fn note(&mut self, key: &Key, now_ms: u64, limits: &Limits) {
        if !self.by_key.contains_key(key) {
            self.make_room();
            self.order.push_back(key.clone());
        }
        let record = self.by_key.entry(key.clone()).or_default();
        record.times.push_back(now_ms);
        let window_from = now_ms.saturating_sub(limits.crash_window_ms);
        while record.times.front().is_some_and(|time| *time < window_from) {
            record.times.pop_front();
        }
        if record.times.len() > limits.crashes_max as usize {
            record.quarantined_until_ms = now_ms + limits.quarantine_ms;
            record.times.clear();
            tracing::error!(%key, seconds = limits.quarantine_ms / 1_000, "an entity is quarantined");
        }
    }

    /// Whether the entity may execute.
    pub(crate) fn check(&self, key: &Key, now_ms: u64, _: &Limits) -> Result<(), CallError> {
        if self.by_key.is_empty() {
            return Ok(());
        }
        match self.by_key.get(key) {
            Some(record) if now_ms < record.quarantined_until_ms => {
                let rest_ms = record.quarantined_until_ms - now_ms;
                Err(CallError::Quarantined { retry_after: Duration::from_millis(rest_ms) })
            }
            _ => Ok(()),
        }
    }

    /// How many entities refuse commands at `now_ms`.
    pub(crate) fn quarantined(&self, now_ms: u64) -> usize {
        self.by_key.values().filter(|record| now_ms < record.quarantined_until_ms).count()
    }

    fn make_room(&mut self) {
        while self.order.len() >= ENTITIES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_crashes_quarantine_for_a_time() {
        let (mut crashes, limits, key) = (Crashes::default(), Limits::default(), Key::new("k").unwrap());
        for at in 0..3 {
            crashes.note(&key, at, &limits);
            assert!(crashes.check(&key, at, &limits).is_ok());
        }
        crashes.note(&key, 3, &limits);
        assert!(crashes.check(&key, 4, &limits).is_err());
        assert!(crashes.check(&key, 3 + limits.quarantine_ms, &limits).is_ok());
    }

    #[test]
    fn slow_crashes_do_not_quarantine() {
        let (mut crashes, limits, key) = (Crashes::default(), Limits::default(), Key::new("k").unwrap());
        for round in 0..50 {
            let at = round * limits.crash_window_ms;
            crashes.note(&key, at, &limits);
            assert!(crashes.check(&key, at, &limits).is_ok());
        }
    }
}
