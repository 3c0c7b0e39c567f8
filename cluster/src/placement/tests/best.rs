//! Against all there are: no other placement and no other choice of leaders is more even.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::{super::*, simulation::Simulation};

fn squares<'a>(held: impl Iterator<Item = &'a RaftId>) -> usize {
    let mut loads: BTreeMap<RaftId, usize> = BTreeMap::new();
    held.for_each(|id| *loads.entry(*id).or_default() += 1);
    loads.values().map(|load| load * load).sum()
}

/// The smallest sum of squares of any way to take one option per shard.
fn least(options: &[Vec<BTreeSet<RaftId>>], taken: &mut Vec<RaftId>) -> usize {
    let Some((first, rest)) = options.split_first() else { return squares(taken.iter()) };
    let tries = first.iter().map(|option| {
        let length = taken.len();
        taken.extend(option);
        let found = least(rest, taken);
        taken.truncate(length);
        found
    });
    tries.min().unwrap_or_else(|| least(rest, &mut taken.clone()))
}

/// All sets of `voters` members with at most `zone_max` in each zone.
fn legal(cluster: &Simulation, voters: usize, zone_max: usize) -> Vec<BTreeSet<RaftId>> {
    let ids: Vec<_> = (0..cluster.names()).map(|number| cluster.id(number)).collect();
    let sets = (0..1u32 << ids.len()).map(|bits| -> BTreeSet<RaftId> {
        ids.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, id)| *id).collect()
    });
    let is_spread = |set: &BTreeSet<RaftId>| {
        let zone = |id: &RaftId| cluster.state.member(*id).unwrap().zone.clone();
        set.iter().all(|id| set.iter().filter(|other| zone(other) == zone(id)).count() <= zone_max)
    };
    sets.filter(|set| set.len() == voters && is_spread(set)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_placement_that_respects_the_zones_is_more_even(
        shards in 1..5u32,
        voters in 1..4usize,
        zones in vec(prop::sample::select(&["a", "b", "c"][..]), 1..6),
    ) {
        let cluster = Simulation::grown(shards, voters as u8, &zones);
        let voters = voters.min(zones.len());
        let zone_max = (1..=voters).find(|max| !legal(&cluster, voters, *max).is_empty()).unwrap();
        cluster.is_spread(zone_max);
        let options = vec![legal(&cluster, voters, zone_max); shards as usize];
        let held = cluster.state.map().iter().flat_map(|shard| &shard.replicas.voters);
        prop_assert_eq!(squares(held), least(&options, &mut Vec::new()));
    }

    #[test]
    fn no_choice_of_leaders_is_more_even(
        able in vec(prop::collection::btree_set(1..6u64, 0..4), 0..8),
        preferred in vec(prop::option::of(1..6u64), 8),
    ) {
        let ids = |set: &BTreeSet<u64>| set.iter().copied().map(RaftId).collect::<BTreeSet<_>>();
        let choices: Vec<_> = able.iter().zip(preferred).map(|(able, preferred)| Choice {
            able: ids(able), preferred: preferred.map(RaftId) }).collect();
        let leaders = preferred_leaders(&choices);
        for (leader, choice) in leaders.iter().zip(&choices) {
            prop_assert_eq!(leader.is_some(), !choice.able.is_empty());
            prop_assert!(leader.is_none_or(|id| choice.able.contains(&id)));
        }
        let options: Vec<_> = choices.iter().map(|it| it.able.iter().map(|id| [*id].into()).collect()).collect();
        prop_assert_eq!(squares(leaders.iter().flatten()), least(&options, &mut Vec::new()));

        // Chosen once, it stays.
        let again: Vec<_> = choices.iter().zip(&leaders).map(|(it, leader)| Choice {
            preferred: *leader, ..it.clone() }).collect();
        prop_assert_eq!(preferred_leaders(&again), leaders);
    }
}
