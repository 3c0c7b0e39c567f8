//! Every rule of the configuration as a story; random histories are in `histories`.

mod histories;
pub(super) mod support;

use std::collections::BTreeSet;

use self::support::*;
use super::{bootstrap::Rules, *};
use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

#[test]
fn a_cluster_begins_with_its_founder_alone() {
    let state = founded(3);
    let founder = state.member_named("n-0").unwrap();
    assert_eq!((founder.state, founder.raft_id), (MemberState::Up, RaftId(100)));
    assert_eq!(state.map()[0].replicas.voters, BTreeSet::from([RaftId(100)]));
    assert_eq!((state.voters_wanted(), state.system_voters_wanted(), state.revision()), (1, 1, 1));
    assert!(state.is_beginning());
    assert!(!founded(1).is_beginning());
}

#[test]
fn only_the_initiator_founds() {
    let founding = Founding {
        rules: Rules::new("n-0".into(), ["n-0".to_owned()].into()).unwrap(),
        cluster_id: CLUSTER,
        shards: SHARDS,
        replication_factor: 3,
    };
    let refused = ClusterState::found(founding.clone(), &node("n-1", 1, 1), 0);
    assert!(matches!(refused, Err(Refusal::NotListedYet { .. })));
    let none = Founding { shards: 0, ..founding.clone() };
    let refused = ClusterState::found(none, &Node { shards: 0, ..node("n-0", 1, 1) }, 0);
    assert!(matches!(refused, Err(Refusal::Invalid { .. })));
    let refused = ClusterState::found(founding, &Node { shards: 7, ..node("n-0", 1, 1) }, 0);
    assert_eq!(refused, Err(Refusal::OtherShards { cluster: SHARDS, node: 7 }));
}

#[test]
fn a_member_joins_catches_up_drains_and_restarts() {
    let mut state = founded(3);
    do_(&mut state, join(node("n-1", 101, 5)));
    assert_eq!(state_of(&state, 101), MemberState::Joining);
    assert!(!state.has_adopted(RaftId(101)));
    do_(&mut state, reached(101, 5));
    assert_eq!(state_of(&state, 101), MemberState::Up);
    do_(&mut state, Command::Drain { raft_id: RaftId(101), incarnation: Incarnation(5) });
    assert_eq!(state_of(&state, 101), MemberState::Draining);
    do_(&mut state, join(Node { incarnation: Incarnation(9), ..again("n-1", 101, 5) }));
    assert_eq!(state_of(&state, 101), MemberState::Joining);
    do_(&mut state, reached(101, 9));
    assert_eq!(state_of(&state, 101), MemberState::Up);
}

#[test]
fn what_is_known_already_changes_nothing() {
    let mut state = grown(3);
    changes_nothing(&state, join(node("n-1", 101, 1)));
    changes_nothing(&state, reached(101, 1));
    changes_nothing(&state, Command::Undrain { raft_id: RaftId(101) });
    changes_nothing(&state, Command::Plan(Plan::default()));
    changes_nothing(&state, Command::Scale { set: "n".into(), to: 3, force: false });
    do_(&mut state, down(101));
    changes_nothing(&state, down(101));
}

/// A message from before a restart says nothing about the start after it.
#[test]
fn news_of_an_earlier_start_is_refused() {
    let mut state = grown(3);
    do_(&mut state, join(again("n-1", 101, 1)));
    let (raft_id, incarnation) = (RaftId(101), Incarnation(1));
    for late in [
        Command::Reached { raft_id, incarnation },
        Command::Drain { raft_id, incarnation },
        Command::Unreachable { raft_id, incarnation },
    ] {
        assert!(matches!(refused(&state, late), Refusal::EarlierStart { .. }));
    }
}

/// The start itself is always the newest: what the volume remembers of the one before gives the copy away.
#[test]
fn a_restored_volume_is_refused() {
    let mut state = grown(3);
    do_(&mut state, join(Node { incarnation: Incarnation(50), ..again("n-1", 101, 1) }));
    let restored = Node { incarnation: Incarnation(99), ..again("n-1", 101, 1) };
    let refusal = refused(&state, join(restored));
    let (known, volume) = (Incarnation(50), Incarnation(1));
    assert_eq!(refusal, Refusal::RestoredVolume { name: "n-1".into(), known, volume });
    assert!(refusal.to_string().contains("its votes are stale"));
    // With a clock that ran back, too.
    let older = Node { incarnation: Incarnation(20), ..again("n-1", 101, 1) };
    assert!(matches!(refused(&state, join(older)), Refusal::RestoredVolume { .. }));
}

#[test]
fn a_foreign_volume_is_refused() {
    let state = grown(3);
    let node = node("n-3", 103, 1);
    let other = ClusterId(8);
    let foreign = Node { volume: Volume::Of(other), ..node.clone() };
    assert_eq!(refused(&state, join(foreign)), Refusal::OtherCluster { cluster: CLUSTER, node: other });
    let split = Node { shards: 5, ..node.clone() };
    assert_eq!(refused(&state, join(split)), Refusal::OtherShards { cluster: SHARDS, node: 5 });
    let renamed = Node { name: "n-9".into(), ..again("n-1", 101, 1) };
    assert!(matches!(refused(&state, join(renamed)), Refusal::OtherName { .. }));
    let forgotten = Node { volume: Volume::Of(CLUSTER), ..node.clone() };
    assert!(matches!(refused(&state, join(forgotten)), Refusal::Former { .. }));
    for bad in [
        Node { name: String::new(), ..node.clone() },
        Node { name: "n".repeat(NAME_BYTES_MAX + 1), ..node.clone() },
        Node { zone: "z".repeat(TEXT_BYTES_MAX + 1), ..node.clone() },
        Node { raft_id: RaftId(0), ..node },
    ] {
        assert!(matches!(refused(&state, join(bad)), Refusal::Invalid { .. }));
    }
}

#[test]
fn a_name_with_a_new_volume_replaces_the_old_one_for_ever() {
    let mut state = grown(3);
    let newcomer = node("n-1", 201, 7);
    let both_alive = Command::Join { node: newcomer.clone(), other_is_heard: true };
    assert_eq!(refused(&state, both_alive), Refusal::NameInUse { name: "n-1".into(), other: RaftId(101) });

    do_(&mut state, join(newcomer));
    assert_eq!(state.member_named("n-1").unwrap().raft_id, RaftId(201));
    assert_eq!(state.former()[0].replaced_by, Some(RaftId(201)));
    for old in [node("n-1", 101, 1), again("n-1", 101, 1)] {
        assert!(matches!(refused(&state, join(old)), Refusal::Former { .. }));
    }
    // Lost again: what the first one held goes to the third.
    do_(&mut state, join(node("n-1", 301, 8)));
    assert!(state.former().iter().all(|former| former.replaced_by == Some(RaftId(301))));
}

/// Else a cluster of the founder and strangers could be left behind when the founder's volume is lost.
#[test]
fn in_the_beginning_only_the_listed_are_admitted() {
    let mut state = founded(3);
    let stranger = || join(node("canary-0", 500, 1));
    assert!(matches!(refused(&state, stranger()), Refusal::NotListedYet { .. }));
    for number in 1..3 {
        do_(&mut state, join(node(&format!("n-{number}"), 100 + number, 1)));
        assert!(matches!(refused(&state, stranger()), Refusal::NotListedYet { .. }));
        do_(&mut state, reached(100 + number, 1));
    }
    assert!(!state.is_beginning());
    do_(&mut state, stranger());
    // It is over for ever, whoever goes.
    do_(&mut state, down(101));
    assert!(!state.is_beginning());
}

#[test]
fn scaling_down_takes_the_highest_of_one_set_and_lets_go_what_holds_nothing() {
    let mut state = grown(5);
    do_(&mut state, join(node("canary-7", 700, 1)));
    holds(&mut state, 0, &[100, 103, 104]);
    do_(&mut state, scale(3, false));
    assert_eq!(state.member(RaftId(103)).unwrap().intent, Intent::Leave);
    assert_eq!(state.member(RaftId(700)).unwrap().intent, Intent::Stay);
    assert_eq!((state_of(&state, 104), state.progress().leaving), (MemberState::Up, 2));

    holds(&mut state, 0, &[100, 101, 104]);
    assert_eq!((state_of(&state, 103), state_of(&state, 104)), (MemberState::Left, MemberState::Up));
    // Who has left is not back when it restarts before it is switched off; who has not can still stay.
    assert!(matches!(refused(&state, join(again("n-3", 103, 1))), Refusal::Former { .. }));
    do_(&mut state, scale(5, false));
    assert_eq!(state.member(RaftId(104)).unwrap().intent, Intent::Stay);
    // With an empty volume the name is welcome.
    do_(&mut state, join(node("n-3", 203, 1)));
    assert_eq!(state.member_named("n-3").unwrap().intent, Intent::Stay);
}

#[test]
fn scaling_below_what_is_safe_needs_force_and_never_takes_all() {
    let mut state = grown(3);
    assert_eq!(refused(&state, scale(2, false)), Refusal::TooFewStay { staying: 2, needed: 3 });
    assert_eq!(refused(&state, scale(0, true)), Refusal::NobodyStays);
    let unknown = Command::Scale { set: "x".into(), to: 1, force: false };
    assert!(matches!(refused(&state, unknown), Refusal::Unknown { .. }));
    do_(&mut state, scale(2, true));
    assert_eq!(state.voters_wanted(), 2);

    // A member that is down does not count as one that stays.
    let mut state = grown(4);
    do_(&mut state, down(101));
    let leave = Command::Leave { names: ["n-3".to_owned()].into(), force: false };
    assert_eq!(refused(&state, leave), Refusal::TooFewStay { staying: 2, needed: 3 });
    let unknown = Command::Leave { names: ["n-9".to_owned()].into(), force: false };
    assert!(matches!(refused(&state, unknown), Refusal::Unknown { .. }));
}

/// A volume lost while its node leaves: the new one leaves, too.
#[test]
fn a_leaving_name_leaves_with_its_new_volume() {
    let mut state = grown(5);
    holds(&mut state, 0, &[100, 101, 104]);
    do_(&mut state, scale(4, false));
    do_(&mut state, join(node("n-4", 204, 2)));
    assert_eq!(state_of(&state, 204), MemberState::Left);
}

#[test]
fn only_who_is_down_is_replaced_on_command_and_it_is_welcome_back() {
    let mut state = grown(3);
    let replace = || Command::Replace { raft_id: RaftId(101) };
    assert!(matches!(refused(&state, replace()), Refusal::WrongState { .. }));
    do_(&mut state, down(101));
    do_(&mut state, replace());
    assert_eq!(state.member(RaftId(101)).unwrap().intent, Intent::Replace);
    do_(&mut state, reached(101, 1));
    assert_eq!(state.member(RaftId(101)).unwrap().intent, Intent::Stay);
}

#[test]
fn only_who_is_gone_and_holds_nothing_is_forgotten() {
    let mut state = grown(3);
    let forget = |id| Command::Forget { raft_id: RaftId(id) };
    assert!(matches!(refused(&state, forget(101)), Refusal::WrongState { .. }));
    assert!(matches!(refused(&state, forget(999)), Refusal::Unknown { .. }));
    holds(&mut state, 1, &[100, 101]);
    do_(&mut state, down(101));
    assert!(matches!(refused(&state, forget(101)), Refusal::WrongState { .. }));
    holds(&mut state, 1, &[100, 102]);
    do_(&mut state, forget(101));
    assert!(matches!(refused(&state, join(node("n-1", 101, 9))), Refusal::Former { .. }));
}

#[test]
fn an_unsafe_move_is_refused() {
    let mut state = grown(5);
    holds(&mut state, 0, &[100, 101, 102]);
    let why = |state: &ClusterState, voters: &[u64]| match refused(state, start(0, voters)) {
        Refusal::UnsafeMove { why, .. } => why,
        other => panic!("{other}"),
    };
    assert!(why(&state, &[100, 103, 104]).contains("one replica"));
    assert!(why(&state, &[100, 101, 102]).contains("one replica"));
    assert!(why(&state, &[100, 101]).contains("number of voters"));
    assert!(why(&state, &[100, 101, 102, 103]).contains("number of voters"));
    assert!(why(&state, &[100, 101, 999]).contains("not up"));
    do_(&mut state, start(0, &[100, 101, 103]));
    assert!(why(&state, &[100, 101, 104]).contains("under way"));

    let mut state = grown(5);
    holds(&mut state, 0, &[100, 101, 102]);
    do_(&mut state, down(103));
    assert!(why(&state, &[100, 101, 103]).contains("not up"));
    do_(&mut state, down(101));
    do_(&mut state, down(102));
    assert!(why(&state, &[100, 101, 104]).contains("majority"));
}

#[test]
fn the_leader_of_a_group_has_the_last_word_in_log_order() {
    let mut state = grown(5);
    holds(&mut state, 0, &[100, 101, 102]);
    do_(&mut state, start(0, &[100, 101, 103]));
    let at = state.map()[0].replicas.confirmed_at;
    changes_nothing(&state, moved(0, &[104], at - 1));
    // On the way: the new voter is in, the old one not yet out.
    do_(&mut state, moved(0, &[100, 101, 102, 103], at + 1));
    assert!(state.map()[0].replicas.wanted.is_some());
    do_(&mut state, moved(0, &[100, 101, 103], at + 2));
    assert_eq!(state.map()[0].replicas.wanted, None);

    do_(&mut state, start(0, &[100, 101, 104]));
    // Something else than what was wanted, and no longer one step away from it.
    do_(&mut state, moved(0, &[100, 102, 103], at + 3));
    assert_eq!(state.map()[0].replicas.wanted, None);
    assert!(matches!(refused(&state, moved(0, &[100, 999], at + 4)), Refusal::Unknown { .. }));
    assert!(matches!(refused(&state, moved(0, &[], at + 4)), Refusal::Invalid { .. }));
    assert!(matches!(refused(&state, moved(SHARDS, &[100], 1)), Refusal::Invalid { .. }));
}

#[test]
fn only_a_voter_that_is_up_is_preferred_as_leader() {
    let mut state = grown(3);
    let prefer = |id| Command::Plan(Plan { leaders: vec![(0, Some(RaftId(id)))], ..Plan::default() });
    assert!(matches!(refused(&state, prefer(101)), Refusal::UnsafeMove { .. }));
    holds(&mut state, 0, &[100, 101]);
    do_(&mut state, prefer(101));
    assert_eq!(state.map()[0].preferred_leader, Some(RaftId(101)));
    holds(&mut state, 0, &[100, 102]);
    assert_eq!(state.map()[0].preferred_leader, None);
    do_(&mut state, down(102));
    assert!(matches!(refused(&state, prefer(102)), Refusal::UnsafeMove { .. }));
}

/// The next leader's clock may be behind.
#[test]
fn time_does_not_run_back_with_a_new_leader() {
    let state = grown(3);
    let state = state.decide(&down(101), 5000).unwrap().unwrap();
    let state = state.decide(&down(102), 10).unwrap().unwrap();
    assert_eq!((state.changed_ms(), state.member(RaftId(102)).unwrap().since_ms), (5000, 5000));
}

#[test]
fn five_vote_in_the_system_group_from_seven_members_on() {
    let wanted = |members| grown(members).system_voters_wanted();
    let all: Vec<_> = (1..9).map(wanted).collect();
    assert_eq!(all, [1, 2, 3, 3, 3, 3, 5, 5]);
}

#[test]
fn the_configuration_is_read_as_it_was_written() {
    let state = grown(5);
    let bytes = state.encode().unwrap();
    assert_eq!(ClusterState::decode(&bytes).unwrap(), state);
    assert!(matches!(ClusterState::decode(&[]), Err(FormatError::Empty)));
    assert!(matches!(ClusterState::decode(&bytes[..40]), Err(FormatError::Damaged(_))));
    let foreign = [&[9], &bytes[1..]].concat();
    assert!(matches!(ClusterState::decode(&foreign), Err(FormatError::Foreign { found: 9 })));
    let large = vec![1; STATE_BYTES_MAX + 1];
    assert!(matches!(ClusterState::decode(&large), Err(FormatError::TooLarge { .. })));
}

/// All bounds reached at once still fit into what is stored.
#[test]
fn the_largest_configuration_fits() {
    let big = u64::MAX - 1000;
    let voters: BTreeSet<_> = (0..=u64::from(REPLICATION_FACTOR_MAX)).map(|id| RaftId(big + id)).collect();
    let wanted = Wanted { voters: voters.clone(), since_ms: big, reason: Reason::Repair };
    let mut state = grown(1);
    for number in 0..MEMBERS_MAX as u64 {
        let text = || "x".repeat(TEXT_BYTES_MAX);
        let node = Node {
            name: format!("{number:0>253}"),
            zone: text(),
            track: text(),
            release: text(),
            ..node("", big + number, big)
        };
        let member = node.to_member(big).unwrap();
        state.former.extend([0, 1].map(|_| Former {
            raft_id: member.raft_id,
            name: member.name.clone(),
            incarnation: member.incarnation,
            replaced_by: Some(member.raft_id),
            since_ms: big,
        }));
        state.members.insert(member.raft_id, member);
    }
    assert_eq!(state.former.len(), FORMER_MAX);
    let replicas = Replicas { voters, confirmed_at: big, wanted: Some(wanted) };
    let calm = Replicas { wanted: None, ..replicas.clone() };
    let moving = Shard { replicas, preferred_leader: Some(RaftId(big)) };
    let calm = Shard { replicas: calm, preferred_leader: Some(RaftId(big)) };
    state.map = vec![moving; MOVES_MAX];
    state.map.resize(SHARDS_MAX as usize, calm);
    state.encode().unwrap();
}

#[test]
fn members_that_left_make_room() {
    let mut state = grown(3);
    for number in 3..u64::try_from(MEMBERS_MAX).unwrap() {
        do_(&mut state, join(node(&format!("n-{number}"), 100 + number, 1)));
    }
    let newcomer = || join(node("new-0", 5000, 1));
    assert_eq!(refused(&state, newcomer()), Refusal::Full { what: "members".into(), max: MEMBERS_MAX });
    do_(&mut state, scale(100, false));
    do_(&mut state, newcomer());
    assert_eq!((state.members().len(), state.former().len()), (MEMBERS_MAX, 1));
}
