//! What a recovery changes, and in which order.

use std::{num::NonZeroU32, sync::Arc};

use playhouse_cluster::{
    consensus::{Config, Group as _, Isolated, Leadership, RaftGroup},
    identity::{Identity, Incarnation, Wanted},
    membership::{Founding, Node, Volume, bootstrap::Rules},
    store::{self, Crash, Memory},
};

use super::*;

/// A disk with a group that was led here alone.
async fn disk(own: RaftId, environment: &Environment) -> Arc<Memory> {
    let memory = Memory::new();
    let store = Store::start(memory.clone(), environment, store::Config::default()).unwrap();
    let (config, alone) = (Config::default(), Arc::new(Isolated));
    let group = RaftGroup::open(SYSTEM, own, store.clone(), alone, &config, environment).await.unwrap();
    group.found(&BTreeSet::from([own])).await.unwrap();
    let mut leadership = group.leadership();
    let leads = |leadership: &Leadership| matches!(leadership, Leadership::Leader { .. });
    drop(leadership.wait_for(leads).await.unwrap());
    group.shutdown().await;
    memory.crash(Crash::Process)
}

fn state(own: RaftId) -> ClusterState {
    let name = "n-0".to_owned();
    let rules = Rules::new(name.clone(), BTreeSet::from([name.clone()])).unwrap();
    let founding = Founding { rules, cluster_id: ClusterId(7), shards: 1, replication_factor: 1 };
    let founder = Node {
        name,
        raft_id: own,
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards: 1,
        zone: String::new(),
        track: String::new(),
        release: "1".to_owned(),
        protocol: (1, 1),
    };
    ClusterState::found(founding, &founder, 0).unwrap()
}

/// The store refused it when the identity had been changed.
#[tokio::test(start_paused = true)]
async fn a_recovery_that_is_too_large_changes_nothing() {
    let (folder, environment) = (tempfile::tempdir().unwrap(), Environment::simulated(1));
    let wanted = Wanted { name: "n-0".to_owned(), shards: NonZeroU32::MIN, cluster_id: Some(ClusterId(7)) };
    drop(Identity::open_or_create(folder.path(), &wanted, &environment).unwrap());
    let mut volume = StoppedVolume::open(folder.path()).unwrap();
    let (own, before) = (volume.raft_id(), volume.cluster_id());
    let memory = disk(own, &environment).await;
    let audit = Audit::of(folder.path());
    for (bytes_max, fits) in [(64, false), (1 << 20, true)] {
        let bounds =
            store::Config { batch_bytes_max: bytes_max.try_into().unwrap(), ..store::Config::default() };
        let store = Store::start(memory.clone(), &environment, bounds).unwrap();
        let system = Recovery::open(&store, SYSTEM).unwrap().unwrap();
        let known = Knowledge { own, name: "n-0".to_owned(), state: state(own) };
        let groups = BTreeMap::from([(Which::System, system)]);
        let case = Case { store: store.clone(), known, lost: BTreeSet::new(), groups };
        let recovered = case.recover(&mut volume, &audit, &environment).await;
        match recovered {
            Err(RecoverError::TooLarge { bytes_max: told, .. }) if !fits => assert_eq!(told, bytes_max),
            other => assert!(fits && other.is_ok(), "{other:?}"),
        }
        assert_eq!(
            volume.cluster_id() == before,
            !fits,
            "it goes on under another id, or nothing is changed"
        );
        assert_eq!(audit.read().unwrap().is_empty(), !fits);
    }
}
