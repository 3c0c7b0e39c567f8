//! Who holds what while a target is computed.

use std::collections::BTreeSet;

use super::pool::{Place, Pool};
use crate::{consensus::RaftId, membership::Which};

/// A group, as it is now or after the move under way.
pub(super) struct Group<'a> {
    pub(super) which: Which,
    pub(super) voters: &'a BTreeSet<RaftId>,
    /// It changes already and is left alone.
    pub(super) is_moving: bool,
    /// It changed, but that leads nowhere any more.
    pub(super) is_abandoned: bool,
}

/// Groups by members.
pub(super) struct Table<'a> {
    pub(super) pool: &'a Pool,
    pub(super) groups: &'a [Group<'a>],
    /// The most voters of one group in one zone.
    zone_max: usize,
    /// By group: who holds it.
    pub(super) holders: Vec<Vec<Place>>,
    /// By member: what it holds.
    pub(super) held: Vec<BTreeSet<usize>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(pool: &'a Pool, groups: &'a [Group<'a>], voters: usize) -> Self {
        let mut table = Self {
            pool,
            groups,
            zone_max: pool.zone_max(voters),
            holders: vec![Vec::new(); groups.len()],
            held: vec![BTreeSet::new(); pool.slots.len()],
        };
        for (group, voters) in groups.iter().map(|group| group.voters).enumerate() {
            for place in voters.iter().filter_map(|voter| pool.keeper(*voter)) {
                if !table.holds(place, group) {
                    table.put(group, place);
                }
            }
        }
        table
    }

    pub(super) fn holds(&self, place: Place, group: usize) -> bool {
        self.held[place].contains(&group)
    }

    pub(super) fn load(&self, place: Place) -> usize {
        self.held[place].len()
    }

    pub(super) fn put(&mut self, group: usize, place: Place) {
        self.holders[group].push(place);
        self.held[place].insert(group);
    }

    pub(super) fn take(&mut self, group: usize, place: Place) {
        self.holders[group].retain(|holder| *holder != place);
        self.held[place].remove(&group);
    }

    /// Whether the replica was there before this computation.
    pub(super) fn was_at(&self, group: usize, place: Place) -> bool {
        self.groups[group].voters.contains(&self.pool.slots[place].raft_id)
    }

    /// Whether `to` may hold a replica of the group; `without` is about to give one away.
    pub(super) fn fits(&self, group: usize, to: Place, without: Option<Place>) -> bool {
        let slots = &self.pool.slots;
        let others = self.holders[group].iter().filter(|holder| Some(**holder) != without);
        slots[to].receives
            && !self.holds(to, group)
            && others.filter(|holder| slots[**holder].zone == slots[to].zone).count() < self.zone_max
    }

    /// Voters of the group in the same zone, beyond what one zone should have.
    pub(super) fn is_crowded(&self, group: usize, place: Place) -> bool {
        let slots = &self.pool.slots;
        let zone = slots[place].zone;
        self.holders[group].iter().filter(|holder| slots[**holder].zone == zone).count() > self.zone_max
    }
}
