//! Where everything should be: keep, fill, spread, even out.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, VecDeque},
};

use super::{
    pool::{Place, Pool},
    table::{Group, Table},
};
use crate::consensus::RaftId;

/// The wanted voters of each group. Fewer than `voters` where no member can take one.
pub(super) fn of(pool: &Pool, groups: &[Group<'_>], voters: usize) -> Vec<BTreeSet<RaftId>> {
    let mut table = Table::new(pool, groups, voters);
    let free: Vec<_> = (0..groups.len()).filter(|group| !groups[*group].is_moving).collect();
    free.iter().for_each(|group| table.shrink(*group, voters));
    free.iter().for_each(|group| table.fill(*group, voters));
    free.iter().for_each(|group| table.spread(*group));
    table.even_out();
    (0..groups.len()).map(|group| table.voters_of(group)).collect()
}

/// A replica that moves.
#[derive(Clone, Copy)]
struct Hop {
    group: usize,
    from: Place,
    to: Place,
}

impl Table<'_> {
    /// Gives up what is too much, first where a zone has many, then from who has most.
    fn shrink(&mut self, group: usize, voters: usize) {
        while self.holders[group].len() > voters {
            let worst = self.holders[group].iter().copied().max_by_key(|place| {
                let can_stay = self.pool.slots[*place].receives;
                (
                    !can_stay,
                    self.in_zone_of(group, *place),
                    self.load(*place),
                    Reverse(self.score(group, *place)),
                )
            });
            self.take(group, worst.expect("it has more than it should"));
        }
    }

    fn fill(&mut self, group: usize, voters: usize) {
        while self.holders[group].len() < voters {
            let Some(best) = self.best(group, |table, place| table.fits(group, place, None)).or_else(|| {
                // Two in one zone are better than one too few.
                self.best(group, |table, place| {
                    table.pool.slots[place].receives && !table.holds(place, group)
                })
            }) else {
                return;
            };
            self.put(group, best);
        }
    }

    /// Moves replicas out of crowded zones, if there is somewhere to go.
    fn spread(&mut self, group: usize) {
        for from in self.holders[group].clone() {
            if !self.pool.slots[from].receives || !self.is_crowded(group, from) {
                continue;
            }
            if let Some(to) = self.best(group, |table, place| table.fits(group, place, Some(from))) {
                self.apply(&[Hop { group, from, to }]);
            }
        }
    }

    /// Moves along paths until nobody could give to somebody with two fewer.
    fn even_out(&mut self) {
        let steps_max = self.groups.len() * self.pool.slots.len() * self.pool.slots.len();
        for _ in 0..steps_max {
            let Some(path) = self.path_down() else { return };
            self.apply(&path);
        }
    }

    /// A shortest path from a most loaded member that has one.
    fn path_down(&self) -> Option<Vec<Hop>> {
        let places = 0..self.pool.slots.len();
        let receivers = places.filter(|place| self.pool.slots[*place].receives);
        let loads: BTreeSet<_> = receivers.clone().map(|place| self.load(place)).collect();
        let least = *loads.first()?;
        loads.into_iter().rev().take_while(|load| *load >= least + 2).find_map(|load| {
            let from: Vec<_> = receivers.clone().filter(|place| self.load(*place) == load).collect();
            self.path_from(&from, load)
        })
    }

    /// Breadth first. The way to a member is the replica that it would get.
    fn path_from(&self, from: &[Place], load: usize) -> Option<Vec<Hop>> {
        let mut way: Vec<Option<Hop>> = vec![None; self.pool.slots.len()];
        let mut queue: VecDeque<_> = from.iter().copied().collect();
        let mut unseen: Vec<_> = (0..way.len())
            .filter(|place| self.pool.slots[*place].receives && !from.contains(place))
            .collect();
        unseen.sort_by_key(|place| self.load(*place));
        while let Some(giver) = queue.pop_front() {
            let mut still_unseen = Vec::new();
            for to in unseen {
                let Some(hop) = self.best_hop(giver, to) else {
                    still_unseen.push(to);
                    continue;
                };
                way[to] = Some(hop);
                if self.load(to) + 2 <= load {
                    return Some(back_track(&way, to));
                }
                queue.push_back(to);
            }
            unseen = still_unseen;
        }
        None
    }

    /// The replica that costs least to move: one that goes home, one that is not there yet, one that `to` is good for.
    fn best_hop(&self, from: Place, to: Place) -> Option<Hop> {
        let movable = self.held[from]
            .iter()
            .copied()
            .filter(|group| !self.groups[*group].is_moving && self.fits(*group, to, Some(from)));
        let best = movable.max_by_key(|group| {
            (self.was_at(*group, to), !self.was_at(*group, from), self.score(*group, to))
        });
        best.map(|group| Hop { group, from, to })
    }

    fn apply(&mut self, hops: &[Hop]) {
        for Hop { group, from, to } in hops {
            self.take(*group, *from);
            self.put(*group, *to);
        }
    }

    /// The least loaded, and among equals the one that the group prefers.
    fn best(&self, group: usize, may: impl Fn(&Self, Place) -> bool) -> Option<Place> {
        let places = (0..self.pool.slots.len()).filter(|place| may(self, *place));
        places.min_by_key(|place| (self.load(*place), Reverse(self.score(group, *place))))
    }

    fn score(&self, group: usize, place: Place) -> u64 {
        self.pool.score(&self.groups[group], place)
    }

    fn in_zone_of(&self, group: usize, place: Place) -> usize {
        let slots = &self.pool.slots;
        self.holders[group].iter().filter(|holder| slots[**holder].zone == slots[place].zone).count()
    }

    fn voters_of(&self, group: usize) -> BTreeSet<RaftId> {
        match &self.groups[group] {
            Group { is_moving: true, voters, .. } => (*voters).clone(),
            _ => self.holders[group].iter().map(|place| self.pool.slots[*place].raft_id).collect(),
        }
    }
}

/// From the end of the path to its start.
fn back_track(way: &[Option<Hop>], end: Place) -> Vec<Hop> {
    let last = way[end];
    std::iter::successors(last, |hop| way[hop.from]).collect()
}
