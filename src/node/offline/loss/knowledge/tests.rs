//! Shard 1 has voters on `n-0`, `n-1` and `n-2`, with the volumes 100, 101 and 102; `n-2` wants to go on.

use playhouse_cluster::{
    identity::{ClusterId, Incarnation},
    membership::{Command, Founding, Node, Plan, Reason, Start, Volume, bootstrap::Rules},
};

use super::*;

const OWN: u64 = 102;
const SHARD: Which = Which::Shard(1);

fn node(name: &str, raft_id: u64) -> Node {
    Node {
        name: name.to_owned(),
        raft_id: RaftId(raft_id),
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards: 2,
        zone: String::new(),
        track: String::new(),
        release: "1".to_owned(),
        protocol: (1, 1),
    }
}

fn ids(ids: impl IntoIterator<Item = u64>) -> BTreeSet<RaftId> {
    ids.into_iter().map(RaftId).collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn replica(sets: &[&[u64]]) -> Survivor {
    let at = LogPosition::default();
    let voters = sets.iter().map(|set| ids(set.iter().copied())).collect();
    Survivor { applied: at, committed: at, last: at, voters }
}

fn do_(state: &mut ClusterState, command: &Command) {
    let next = state.decide(command, 1).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
    *state = next.unwrap_or_else(|| panic!("{command:?} changes nothing"));
}

fn join(state: &mut ClusterState, name: &str, raft_id: u64) {
    do_(state, &Command::Join { node: node(name, raft_id), other_is_heard: false });
    do_(state, &Command::Reached { raft_id: RaftId(raft_id), incarnation: Incarnation(1) });
}

fn moved(state: &mut ClusterState, voters: [u64; 3], at: u64) {
    do_(state, &Command::Moved { which: SHARD, voters: ids(voters), at });
}

/// Five members; all is well.
fn whole() -> Knowledge {
    let rules = Rules::new("n-0".to_owned(), names(["n-0", "n-1", "n-2"])).unwrap();
    let founding = Founding { rules, cluster_id: ClusterId(7), shards: 2, replication_factor: 3 };
    let mut state = ClusterState::found(founding, &node("n-0", 100), 0).unwrap();
    (1..5).for_each(|number| join(&mut state, &format!("n-{number}"), 100 + number));
    moved(&mut state, [100, 101, OWN], 10);
    Knowledge { own: RaftId(OWN), name: "n-2".to_owned(), state }
}

/// `n-0` and `n-1` run with empty volumes.
fn fenced() -> Knowledge {
    let mut known = whole();
    join(&mut known.state, "n-0", 200);
    join(&mut known.state, "n-1", 201);
    known
}

fn check(
    known: &Knowledge,
    log: &[&[u64]],
    lost: &BTreeSet<String>,
) -> Result<BTreeSet<RaftId>, RecoverError> {
    known.check_shard(1, Some(&replica(log)), &system(), lost)
}

/// The system group, which lives.
fn system() -> Survivor {
    replica(&[&[OWN, 104, 105]])
}

fn both() -> BTreeSet<String> {
    names(["n-0", "n-1"])
}

/// What every test begins with.
const LOG: &[&[u64]] = &[&[100, 101, OWN]];

#[test]
fn a_shard_goes_on_when_all_its_other_volumes_are_lost_and_refused() {
    assert_eq!(check(&fenced(), LOG, &both()).unwrap(), ids([100, 101]));
}

#[test]
fn a_volume_that_the_cluster_would_accept_again_holds_the_shard_back() {
    let mut known = whole();
    let unfenced = |known: &Knowledge| match check(known, LOG, &both()) {
        Err(RecoverError::NotFenced { volumes, .. }) => volumes,
        other => panic!("{other:?}"),
    };
    let (n_0, n_1) = ("n-0 (Raft id 0000000000000064)", "n-1 (Raft id 0000000000000065)");
    assert_eq!(unfenced(&known), format!("{n_0}, {n_1}"));
    do_(&mut known.state, &Command::Unreachable { raft_id: RaftId(100), incarnation: Incarnation(1) });
    assert_eq!(unfenced(&known), format!("{n_0}, {n_1}"), "who is down may return");
    join(&mut known.state, "n-0", 200);
    assert_eq!(unfenced(&known), n_1);
}

#[test]
fn a_majority_that_is_there_goes_on_by_itself() {
    for known in [whole(), fenced()] {
        let refused = check(&known, LOG, &names(["n-0"])).unwrap_err();
        assert!(matches!(&refused, RecoverError::HasQuorum { left, .. } if left == "n-1, n-2"), "{refused}");
    }
    let alone = check(&fenced(), &[&[OWN]], &both()).unwrap_err();
    assert!(matches!(&alone, RecoverError::HasQuorum { left, .. } if left == "n-2"), "{alone}");
}

fn left(known: &Knowledge, log: &[&[u64]]) -> String {
    match check(known, log, &both()) {
        Err(RecoverError::OthersLeft { names, .. }) => names,
        other => panic!("{other:?}"),
    }
}

/// The newcomer may vote already, with entries that this volume never saw.
#[test]
fn a_move_that_only_the_configuration_knows_counts() {
    let mut planned = whole();
    let voters = ids([100, OWN, 103]);
    let start = vec![Start { which: SHARD, voters, reason: Reason::Balance }];
    do_(&mut planned.state, &Command::Plan(Plan { start, ..Plan::default() }));
    let mut confirmed = whole();
    moved(&mut confirmed.state, [101, OWN, 103], 20);
    for mut known in [planned, confirmed] {
        join(&mut known.state, "n-0", 200);
        join(&mut known.state, "n-1", 201);
        assert_eq!(left(&known, LOG), "n-3");
        join(&mut known.state, "n-3", 203);
        let all = names(["n-0", "n-1", "n-3"]);
        assert_eq!(check(&known, LOG, &all).unwrap(), ids([100, 101, 103]));
    }
}

/// `n-0` was lost and was about to get its replica back on a new volume when `n-1` was lost. The operator was told to do what was
/// done: to start `n-0` with an empty volume.
#[test]
fn a_replacement_that_was_under_way_is_to_be_replaced_itself() {
    let mut known = whole();
    join(&mut known.state, "n-0", 200);
    let voters = ids([200, 101, OWN]);
    let start = vec![Start { which: SHARD, voters, reason: Reason::Balance }];
    do_(&mut known.state, &Command::Plan(Plan { start, ..Plan::default() }));
    let unfenced = check(&known, LOG, &both()).unwrap_err().to_string();
    assert!(
        unfenced.contains("n-0 (Raft id 00000000000000c8), n-1 (Raft id 0000000000000065)"),
        "{unfenced}"
    );
    join(&mut known.state, "n-1", 201);
    match check(&known, LOG, &both()) {
        Err(RecoverError::Arriving { volumes, .. }) => assert_eq!(volumes, "n-0 (Raft id 00000000000000c8)"),
        other => panic!("{other:?}"),
    }
    join(&mut known.state, "n-0", 300);
    assert_eq!(check(&known, LOG, &both()).unwrap(), ids([100, 101, 200]));
}

#[test]
fn a_move_that_only_the_log_knows_counts() {
    assert_eq!(left(&fenced(), &[&[100, 101, OWN], &[101, OWN, 103]]), "n-3");
    assert_eq!(left(&fenced(), &[&[OWN, 103, 104]]), "n-3, n-4", "whatever majority they have");
    let stranger = check(&fenced(), &[&[100, 77, OWN]], &both()).unwrap_err();
    assert!(
        matches!(&stranger, RecoverError::OthersLeft { names, .. } if names.ends_with("4d")),
        "{stranger}"
    );
}

/// Two volumes with a replica of one shard: the cluster gave one of them up before the other.
#[test]
fn of_two_volumes_only_one_goes_on() {
    let mut known = fenced();
    join(&mut known.state, "n-2", 202);
    assert!(matches!(check(&known, LOG, &both()), Err(RecoverError::GivenUp)));
    let mut other = whole();
    (other.own, other.name) = (RaftId(101), "n-1".to_owned());
    join(&mut other.state, "n-0", 200);
    let lost = names(["n-0", "n-2"]);
    assert!(
        matches!(check(&other, LOG, &lost), Err(RecoverError::NotFenced { volumes, .. }) if volumes.starts_with("n-2 "))
    );
    join(&mut other.state, "n-2", 202);
    assert_eq!(check(&other, LOG, &lost).unwrap(), ids([100, OWN]));
}

#[test]
fn a_volume_without_a_vote_does_not_go_on() {
    let mut removed = fenced();
    moved(&mut removed.state, [100, 101, 103], 30);
    let refused =
        |known: &Knowledge, found: Option<&Survivor>| match known.check_shard(1, found, &system(), &both()) {
            Err(RecoverError::NoReplica { voters, .. }) => voters,
            other => panic!("{other:?}"),
        };
    assert_eq!(refused(&removed, Some(&replica(LOG))), "n-0, n-1, n-3", "nobody would open it");
    assert_eq!(refused(&fenced(), Some(&replica(&[&[100, 101, 103]]))), "n-0, n-1, n-2", "it only learns");
    assert_eq!(refused(&fenced(), None), "n-0, n-1, n-2");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let known = fenced();
    let none = known.check_shard(2, Some(&replica(LOG)), &system(), &both()).unwrap_err();
    assert!(matches!(none, RecoverError::NoSuchShard { shard: 2, shards: 2 }), "{none}");
    let unknown = check(&known, LOG, &names(["n-0", "n-9"])).unwrap_err();
    assert!(matches!(&unknown, RecoverError::Unknown { name, .. } if name == "n-9"), "{unknown}");
    let own = check(&known, LOG, &names(["n-0", "n-1", "n-2"])).unwrap_err();
    assert!(matches!(own, RecoverError::Own { .. }), "{own}");
    let system = replica(LOG);
    let lost = known.check_shard(1, Some(&replica(LOG)), &system, &both()).unwrap_err();
    assert!(matches!(lost, RecoverError::SystemLost), "{lost}");
}

/// A name may have lost several volumes, the name of the survivor too; and who has it now is none of them.
#[test]
fn a_name_stands_for_every_volume_that_it_had() {
    let mut known = fenced();
    join(&mut known.state, "n-0", 300);
    assert_eq!(check(&known, LOG, &both()).unwrap(), ids([100, 101]));
    let mut known = whole();
    moved(&mut known.state, [100, 101, 103], 20);
    join(&mut known.state, "n-2", 202);
    (known.own, known.name) = (RaftId(202), "n-2".to_owned());
    moved(&mut known.state, [100, 101, 202], 30);
    join(&mut known.state, "n-0", 200);
    join(&mut known.state, "n-1", 201);
    let log: &[&[u64]] = &[&[100, 101, OWN], &[100, 101, 202]];
    assert_eq!(check(&known, log, &both()).unwrap(), ids([100, 101, OWN]));
}

#[test]
fn everything_goes_on_only_without_all_others() {
    let known = whole();
    let system = replica(&[&[101, OWN, 103]]);
    let refused = known.check_all(&system, &names(["n-1"])).unwrap_err();
    assert!(matches!(&refused, RecoverError::HasQuorum { left, .. } if left == "n-2, n-3"), "{refused}");
    let refused = known.check_all(&system, &names(["n-1", "n-3"])).unwrap_err();
    assert!(matches!(&refused, RecoverError::LeftBehind { names } if names == "n-0, n-4"), "{refused}");
    let lost = known.check_all(&system, &names(["n-0", "n-1", "n-3", "n-4"])).unwrap();
    assert_eq!(lost, ids([100, 101, 103, 104]));
    assert_eq!(known.check_votes(SHARD, Some(&replica(LOG))).unwrap(), &replica(LOG));
    assert!(matches!(known.check_votes(SHARD, None), Err(RecoverError::NoReplica { .. })));
}
