//! A cluster that does what it is told: what it looks like afterwards, and how much moved on the way.

mod best;
mod histories;
mod simulation;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::simulation::Simulation;
use super::*;
use crate::membership::{Command, Intent, MemberState, Reason};

const TEN_MINUTES_MS: u64 = 600_000;

#[test]
fn three_members_hold_everything_and_lead_a_third_each() {
    let cluster = Simulation::grown(32, 3, &["a"; 3]);
    assert_eq!(cluster.loads(), [32, 32, 32]);
    cluster.is_at_rest();
    cluster.has_even_leaders();
}

#[test]
fn one_voter_per_member_until_there_are_enough() {
    for members in 1..5 {
        let cluster = Simulation::grown(8, 3, &vec!["a"; members]);
        assert!(cluster.state.map().iter().all(|shard| shard.replicas.voters.len() == members.min(3)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Without zones the loads are within one, a join moves what the new member gets and a leave what the old one had. Where the
    /// members with room hold the other replicas of a shard that moves, another one makes way first, at most one per member.
    #[test]
    fn a_join_and_a_leave_move_no_more_than_they_must(
        shards in 1..40u32,
        rf in proptest::sample::select(vec![1u8, 3, 5]),
        members in 1..8usize,
    ) {
        let mut cluster = Simulation::grown(shards, rf, &vec!["a"; members]);
        cluster.is_even();
        let before = cluster.moved;
        cluster.join("a");
        cluster.settle();
        cluster.is_even();
        cluster.has_even_leaders();
        prop_assert_eq!(cluster.moved - before, *cluster.loads().last().unwrap());

        let had = cluster.loads()[0];
        let before = cluster.moved;
        // A smaller cluster than the replication factor gives replicas up instead of moving them.
        let moves = if members >= usize::from(rf) { had } else { shards as usize };
        cluster.command(Command::Leave { names: [cluster.name(0)].into(), force: true });
        cluster.settle();
        let moved = cluster.moved - before;
        prop_assert!((moves..=moves + members).contains(&moved), "{} moves instead of {}", moved, moves);
        prop_assert_eq!(cluster.member(0).state, MemberState::Left);
        cluster.is_even();
    }

    /// As many zones as voters: no two voters in one zone, whatever the zones look like.
    #[test]
    fn voters_are_in_different_zones(shards in 1..40u32, sizes in proptest::collection::vec(1..4usize, 3..5)) {
        let zones: Vec<_> = sizes.iter().zip(["a", "b", "c", "d"]).flat_map(|(size, zone)| vec![zone; *size]).collect();
        let cluster = Simulation::grown(shards, 3, &zones);
        cluster.is_spread(1);
        cluster.is_at_rest();
        cluster.is_even_in_each_zone();
    }
}

#[test]
fn two_zones_share_three_voters_two_to_one() {
    let cluster = Simulation::grown(30, 3, &["a", "a", "a", "b", "b", "b"]);
    cluster.is_spread(2);
    cluster.is_even();
}

/// Zones are filled one after the other; where all was in one, it is spread when there is another.
#[test]
fn new_zones_draw_replicas() {
    let mut cluster = Simulation::grown(24, 3, &["a", "a", "a"]);
    for zone in ["b", "c", "b", "c"] {
        cluster.join(zone);
        cluster.settle();
    }
    cluster.is_spread(1);
    cluster.is_at_rest();
}

#[test]
fn a_restart_moves_leaderships_and_nothing_else() {
    let mut cluster = Simulation::grown(30, 3, &["a", "b", "c", "a", "b"]);
    let (moved, loads) = (cluster.moved, cluster.loads());
    cluster.drain(1);
    cluster.settle();
    assert_eq!(cluster.leads(1), 0);
    cluster.restart(1);
    cluster.settle();
    assert_eq!((cluster.leads(1), cluster.member(1).state), (0, MemberState::Joining));
    cluster.reach(1);
    cluster.settle();
    assert!(cluster.leads(1) > 0);
    cluster.has_even_leaders();
    assert_eq!((cluster.moved, cluster.loads()), (moved, loads));
}

#[test]
fn who_is_down_is_replaced_after_ten_minutes() {
    let mut cluster = Simulation::grown(30, 3, &["a"; 5]);
    let (had, before) = (cluster.loads()[2], cluster.moved);
    cluster.down(2);
    cluster.now_ms += TEN_MINUTES_MS - 1;
    cluster.settle();
    assert_eq!((cluster.moved, cluster.leads(2)), (before, 0));
    cluster.now_ms += 1;
    let plan = cluster.outlook().plan;
    assert!(plan.start.iter().any(|start| start.reason == Reason::Repair));
    cluster.settle();
    assert_eq!((cluster.moved - before, cluster.loads()[2]), (had, 0));
    // It comes back with its volume and gets its share again.
    cluster.reach(2);
    cluster.settle();
    cluster.is_even();
}

#[test]
fn who_is_given_up_is_replaced_at_once() {
    let mut cluster = Simulation::grown(30, 3, &["a"; 4]);
    cluster.down(2);
    cluster.command(Command::Replace { raft_id: cluster.id(2) });
    cluster.settle();
    assert_eq!(cluster.loads()[2], 0);
    assert_eq!(cluster.outlook().remaining, 0);
}

/// With nobody to take over, a voter that is down stays one: two of three is better than two of two.
#[test]
fn a_voter_is_never_given_up_without_another() {
    let mut cluster = Simulation::grown(10, 3, &["a"; 3]);
    cluster.down(2);
    cluster.now_ms += TEN_MINUTES_MS;
    let outlook = cluster.outlook();
    assert_eq!(outlook.plan.start, []);
    assert_eq!(outlook.stuck.len(), 11); // The system group, too.
    assert!(outlook.stuck.iter().all(|stuck| stuck.why == Obstacle::NoMember));
    cluster.join("a");
    cluster.settle();
    assert_eq!(cluster.loads()[2..], [0, 10]);
}

#[test]
fn without_a_majority_nothing_is_done_and_it_is_said() {
    let mut cluster = Simulation::grown(10, 3, &["a"; 4]);
    cluster.down(1);
    cluster.down(2);
    cluster.now_ms += TEN_MINUTES_MS;
    let (both, outlook) = ([cluster.id(1), cluster.id(2)], cluster.outlook());
    for (number, shard) in (0..).zip(cluster.state.map()) {
        let which = Which::Shard(number);
        let has_lost = both.iter().all(|id| shard.replicas.voters.contains(id));
        let stuck = Stuck { which, why: Obstacle::NoQuorum };
        assert_eq!(outlook.stuck.contains(&stuck), has_lost);
        assert!(!has_lost || outlook.plan.start.iter().all(|start| start.which != which));
    }
    assert!(outlook.stuck.iter().any(|stuck| stuck.why == Obstacle::NoQuorum));
    assert_eq!(cluster.state.progress().without_quorum.len(), {
        let lost = |which: &Which| matches!(which, Which::Shard(_));
        outlook.stuck.iter().filter(|stuck| stuck.why == Obstacle::NoQuorum && lost(&stuck.which)).count()
    });
}

/// Nothing moves to others while the new volume is on its way up, though it is replaced at once.
#[test]
fn a_lost_volume_ends_with_all_replicas_on_the_new_one() {
    let mut cluster = Simulation::grown(30, 3, &["a", "b", "c", "a", "b"]);
    let (old, loads, before) = (cluster.id(1), cluster.loads(), cluster.moved);
    let held = cluster.held(old);
    cluster.lose_volume(1);
    cluster.settle();
    assert_eq!(cluster.moved, before);
    assert_eq!(
        cluster.state.progress().lost,
        loads[1] + usize::from(cluster.state.system().voters.contains(&old))
    );
    cluster.reach(1);
    cluster.settle();
    assert_eq!((cluster.held(cluster.id(1)), cluster.held(old)), (held, BTreeSet::new()));
    assert_eq!(cluster.moved - before, loads[1]);
    assert!(cluster.state.progress().is_settled());
}

#[test]
fn three_become_five_and_three_again() {
    let mut cluster = Simulation::grown(30, 3, &["a", "b", "c"]);
    cluster.join("a");
    cluster.join("b");
    cluster.settle();
    cluster.is_spread(1);
    assert_eq!(cluster.state.member_named("n-4").unwrap().state, MemberState::Up);
    cluster.command(Command::Scale { set: "n".into(), to: 3, force: false });
    assert!(cluster.state.progress().leaving > 0);
    cluster.settle();
    for number in 3..5 {
        assert_eq!(cluster.member(number).state, MemberState::Left);
        assert!(!cluster.state.holds_replicas(cluster.id(number)));
    }
    assert_eq!(cluster.loads()[..3], [30, 30, 30]);
    cluster.has_even_leaders();
    assert!(cluster.state.progress().is_settled());
    assert_eq!(cluster.state.system().voters.len(), 3);
}

/// Forced below the replication factor: the voters become fewer, too, and grow again.
#[test]
fn a_forced_scale_to_one_keeps_one_voter() {
    let mut cluster = Simulation::grown(10, 3, &["a"; 3]);
    cluster.command(Command::Scale { set: "n".into(), to: 1, force: true });
    cluster.settle();
    assert_eq!(cluster.loads(), [10, 0, 0]);
    assert_eq!(cluster.member(1).intent, Intent::Leave);
    assert_eq!(cluster.state.system().voters, [cluster.id(0)].into());
}

#[test]
fn a_move_to_somebody_who_died_is_given_up() {
    let mut cluster = Simulation::grown(10, 3, &["a"; 3]);
    cluster.join("a");
    cluster.plan();
    let moving = cluster.state.progress().moving;
    assert!(moving > 0);
    cluster.down(3);
    let outlook = cluster.outlook();
    assert_eq!((outlook.plan.abandon.len(), outlook.plan.start.len()), (moving, 0));
    cluster.plan();
    assert_eq!(cluster.state.progress().moving, 0);
    cluster.is_at_rest();
}

/// A move whose target restarts goes on: it will be back.
#[test]
fn a_move_to_somebody_who_restarts_goes_on() {
    let mut cluster = Simulation::grown(10, 3, &["a"; 3]);
    cluster.join("a");
    cluster.plan();
    cluster.restart(3);
    assert_eq!(cluster.outlook().plan.abandon, []);
}

#[test]
fn no_more_moves_are_under_way_than_allowed() {
    let mut cluster = Simulation::grown(30, 3, &["a"; 3]);
    cluster.config.moves_max = 2;
    cluster.join("a");
    cluster.plan();
    assert_eq!(cluster.state.progress().moving, 2);
    assert_eq!(cluster.outlook().plan.start, []);
    assert!(cluster.outlook().remaining > 2);
    cluster.settle();
    cluster.is_even();
}

#[test]
fn the_system_group_is_spread_and_changes_one_at_a_time() {
    let mut cluster = Simulation::grown(1, 3, &["a", "a", "a", "b", "c"]);
    assert_eq!(cluster.zones_of(cluster.state.system()), ["a", "b", "c"].into());
    cluster.join("b");
    cluster.settle();
    let three = cluster.state.system().voters.clone();
    cluster.join("c");
    cluster.settle();
    let five = cluster.state.system().voters.clone();
    assert!(five.len() == 5 && five.is_superset(&three));
    // Whoever is down is replaced, and nobody else.
    let gone = *three.first().unwrap();
    cluster.down(cluster.number(gone));
    cluster.now_ms += TEN_MINUTES_MS;
    cluster.settle();
    let voters = &cluster.state.system().voters;
    assert_eq!((voters.len(), five.difference(voters).count()), (5, 1));
    assert!(!voters.contains(&gone));
}

/// Golden, checked against another implementation of the hash: it decides where ties go, in each release.
#[test]
fn the_preference_of_a_shard_never_changes() {
    assert_eq!(pool::score(Which::Shard(0), RaftId(1)), 3_439_722_301_264_460_078);
    assert_ne!(pool::score(Which::Shard(1), RaftId(1)), pool::score(Which::Shard(0), RaftId(1)));
}

#[test]
fn a_track_leads_its_shards_while_it_can() {
    let mut cluster = Simulation::grown(6, 3, &["a"; 3]);
    cluster.join_on("a", "canary");
    cluster.settle();
    let tracks = Tracks::ByShard(vec![Some("canary".into()); 6]);
    let canary = cluster.id(3);
    let changed: Vec<_> = leaders::changes(&cluster.state, &tracks);
    for (number, shard) in (0..).zip(cluster.state.map()) {
        let leader =
            changed.iter().find(|(shard, _)| *shard == number).map_or(shard.preferred_leader, |it| it.1);
        assert_eq!(leader == Some(canary), shard.replicas.voters.contains(&canary));
        assert!(leader.is_some());
    }
}
