//! The memory that residents of all shards of a node share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How far the idle time is shortened at most: each step halves it.
const PRESSURE_MAX: u32 = 20;

/// What the residents of one node may take together, in bytes. A cheap handle.
#[derive(Clone, Debug)]
pub struct ResidentBudget {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl ResidentBudget {
    /// A budget of `bytes_max` bytes, of which nothing is used.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { used: Arc::default(), bytes_max }
    }
}

/// One shard's part of a budget; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: ResidentBudget,
    told: usize,
    pressure: u32,
}

impl Share {
    pub(super) fn new(budget: &ResidentBudget) -> Self {
        Self { budget: budget.clone(), told: 0, pressure: 0 }
    }

    /// Tells what this shard uses now. Returns how many times the idle time is to be halved: one step more each time
    /// while the node uses too much, one less when it does not, so that those go first that were not used for longest.
    pub(super) fn tell(&mut self, bytes: usize) -> u32 {
        let others = self.budget.used.fetch_sub(self.told, Relaxed) - self.told;
        self.budget.used.fetch_add(bytes, Relaxed);
        self.told = bytes;
        self.pressure = match others + bytes > self.budget.bytes_max {
            true => (self.pressure + 1).min(PRESSURE_MAX),
            false => self.pressure.saturating_sub(1),
        };
        self.pressure
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.told, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_pressed_by_what_the_others_use() {
        let budget = ResidentBudget::new(100);
        let (mut one, mut other) = (Share::new(&budget), Share::new(&budget));
        assert_eq!(one.tell(90), 0);
        assert_eq!(other.tell(20), 1, "together they are over the budget");
        assert_eq!(other.tell(20), 2);
        drop(one);
        assert_eq!(other.tell(20), 1);
        assert_eq!(other.tell(20), 0);
        drop(other);
        assert_eq!(budget.used.load(Relaxed), 0);
    }
}
