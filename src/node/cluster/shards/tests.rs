//! Replicas that earlier starts left behind.

use playhouse_cluster::{
    consensus::LogPosition,
    identity::{Identity, Incarnation, Wanted},
    membership::{Command, Node as Candidate, Plan, Reason, Start, Volume},
    store::{self, Crash, Memory},
};

use super::*;
use crate::{
    entity::KindRegistry,
    kinds,
    node::{Node, Settings},
};

const MOVED: Which = Which::Shard(3);
const OTHER: RaftId = RaftId(9);

async fn start(
    settings: &Settings,
    memory: Arc<Memory>,
    environment: &Environment,
) -> (Store, Result<Node, StartError>) {
    let wanted = Wanted { name: settings.name.clone(), shards: settings.shards.into(), cluster_id: None };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, environment).unwrap();
    let store = Store::start(memory, environment, store::Config::default()).unwrap();
    let mut registry = KindRegistry::default();
    kinds::register_all(&mut registry).unwrap();
    let metrics = Metrics::new("test");
    let node = Node::start_with(identity, store.clone(), settings, registry, metrics, environment.clone());
    (store, tokio::time::timeout(Duration::from_secs(120), node).await.expect("it starts or says why not"))
}

/// Another member has the only replica of shard 3 now.
fn changes(shards: u32) -> [Command; 3] {
    let node = Candidate {
        name: "other".to_owned(),
        raft_id: OTHER,
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards,
        zone: String::new(),
        track: String::new(),
        release: "1".to_owned(),
        protocol: (1, 1),
    };
    [
        Command::Join { node, other_is_heard: false },
        Command::Reached { raft_id: OTHER, incarnation: Incarnation(1) },
        Command::Moved { which: MOVED, voters: BTreeSet::from([OTHER]), at: 1_000 },
    ]
}

fn has(store: &Store, shard: u32) -> bool {
    RaftGroup::has_group(store, GroupId(shard)).unwrap()
}

/// The first start has replicas of all shards, and is killed as soon as `commands` are committed.
async fn first_start(settings: &Settings, commands: &[Command], and_back: bool) -> Arc<Memory> {
    let (memory, environment) = (Memory::new(), Environment::simulated(1));
    let (store, node) = start(settings, Arc::clone(&memory), &environment).await;
    let node = node.unwrap();
    assert_eq!(node.router().led_shards(), 16);
    let system = &node.council.system;
    for command in commands {
        system.execute(command).await.unwrap();
    }
    if and_back {
        let voters = BTreeSet::from([node.identity().raft_id()]);
        let start = vec![Start { which: MOVED, voters, reason: Reason::Balance }];
        system.execute(&Command::Plan(Plan { start, ..Plan::default() })).await.unwrap();
    }
    assert!((0..16).all(|shard| has(&store, shard)), "it is killed before it can remove any");
    environment.host().crash();
    memory.crash(Crash::LoseUnsynced)
}

/// It stayed on the volume for ever: what was not open was never closed.
#[tokio::test(start_paused = true)]
async fn a_replica_that_was_replaced_while_the_node_was_down_is_removed_and_one_that_is_wanted_again_stays() {
    for is_wanted_again in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("node-0", folder.path());
        settings.place.replication_factor = 1.try_into().unwrap();
        let shards = u32::from(settings.shards.get());
        let memory = first_start(&settings, &changes(shards), is_wanted_again).await;
        let environment = Environment::simulated(2);
        let (store, node) = start(&settings, memory, &environment).await;
        if !is_wanted_again {
            assert!(matches!(node, Err(StartError::NoLeaders { led: 15, .. })), "it never opened it");
        }
        let expected = |shard: &u32| Which::Shard(*shard) != MOVED || is_wanted_again;
        let left: Vec<_> = (0..shards).filter(|shard| has(&store, *shard)).collect();
        assert_eq!(left, (0..shards).filter(expected).collect::<Vec<_>>(), "{is_wanted_again}");
    }
}

/// One that is open stays for the same reason; after a restart it was removed, with a vote that its group may have needed.
#[test]
fn a_left_over_replica_is_kept_while_a_change_of_its_voters_may_be_under_way() {
    let (own, at) = (RaftId(1), LogPosition { term: 2, index: 50 });
    let ids = |ids: &[u64]| ids.iter().copied().map(RaftId).collect::<BTreeSet<_>>();
    let stored = |voters: &[&[u64]]| Survivor {
        applied: at,
        committed: at,
        last: at,
        voters: voters.iter().map(|set| ids(set)).collect(),
    };
    let mapped = |confirmed_at| Replicas { voters: ids(&[2, 3, 4]), confirmed_at, wanted: None };
    let joint = stored(&[&[2, 3, 4], &[1, 2, 3]]);
    assert!(is_half_way(own, Some(&mapped(30)), &joint));
    assert!(is_half_way(own, None, &joint), "nobody says that it is over");
    assert!(!is_half_way(own, Some(&mapped(51)), &joint), "it was replaced meanwhile");
    assert!(!is_half_way(own, Some(&mapped(30)), &stored(&[&[2, 3, 4], &[2, 3, 5]])), "it has no vote");
    assert!(!is_half_way(own, Some(&mapped(30)), &stored(&[&[1, 2, 3]])), "no change is under way");
}
