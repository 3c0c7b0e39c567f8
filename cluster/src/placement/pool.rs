//! The members as placement sees them: small numbers instead of Raft ids, zones instead of their names.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Config, table::Group};
use crate::{
    consensus::RaftId,
    membership::{ClusterState, Intent, Member, MemberState, Which},
};

/// A member, by its place in the pool.
pub(super) type Place = usize;

/// One member.
pub(super) struct Slot {
    pub(super) raft_id: RaftId,
    pub(super) zone: usize,
    /// It may be given more.
    pub(super) receives: bool,
}

/// All members that may hold replicas.
pub(super) struct Pool {
    pub(super) slots: Vec<Slot>,
    pub(super) zones: usize,
    places: BTreeMap<RaftId, Place>,
    /// Lost volumes, and who has their name now.
    heirs: BTreeMap<RaftId, Place>,
}

impl Pool {
    pub(super) fn of(state: &ClusterState, config: &Config, now_ms: u64) -> Self {
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        let mut pool = Self { slots: Vec::new(), zones: 0, places: BTreeMap::new(), heirs: BTreeMap::new() };
        for member in state.members().values().filter(|member| keeps(member, config, now_ms)) {
            let next = zones.len();
            let zone = *zones.entry(&member.zone).or_insert(next);
            pool.places.insert(member.raft_id, pool.slots.len());
            pool.slots.push(Slot { raft_id: member.raft_id, zone, receives: member.is_available() });
        }
        pool.zones = zones.len();
        for former in state.former() {
            let heir = former.replaced_by.and_then(|heir| pool.places.get(&heir));
            pool.heirs.extend(heir.map(|heir| (former.raft_id, *heir)));
        }
        pool
    }

    /// Where the replica that a voter had belongs, unless it is to be replaced.
    pub(super) fn keeper(&self, voter: RaftId) -> Option<Place> {
        self.places.get(&voter).or_else(|| self.heirs.get(&voter)).copied()
    }

    /// The most voters of one group that a zone must take if `voters` are to be spread as far as possible.
    pub(super) fn zone_max(&self, voters: usize) -> usize {
        let mut sizes = vec![0; self.zones];
        self.slots.iter().for_each(|slot| sizes[slot.zone] += 1);
        let room = |max: usize| sizes.iter().map(|size| max.min(*size)).sum::<usize>();
        (1..voters.max(1)).find(|max| room(*max) >= voters).unwrap_or(voters.max(1))
    }

    /// How much the group prefers the member: the same in each process and each release.
    pub(super) fn score(&self, group: &Group<'_>, place: Place) -> u64 {
        score(group.which, self.slots[place].raft_id)
    }
}

/// Rendezvous hashing.
pub(super) fn score(which: Which, raft_id: RaftId) -> u64 {
    let seed = match which {
        Which::System => u64::MAX,
        Which::Shard(shard) => shard.into(),
    };
    xxh3_64_with_seed(&raft_id.0.to_le_bytes(), seed)
}

/// Whether the member keeps the replicas that it has.
fn keeps(member: &Member, config: &Config, now_ms: u64) -> bool {
    let is_down_for_long = || now_ms.saturating_sub(member.since_ms) >= config.down_replaced_after_ms;
    let is_given_up =
        member.state == MemberState::Down && (member.intent == Intent::Replace || is_down_for_long());
    member.stays() && !is_given_up
}
