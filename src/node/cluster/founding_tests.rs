//! A founder that is killed between the durable steps of founding.

use std::{sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::{Group, Isolated},
    environment::Environment,
    identity::{ClusterId, Identity, Wanted},
    membership::bootstrap::{Action, Event, Own, Rules},
    store::{self, Crash, Memory, Store},
};

use super::{formation::Formation, system::System};
use crate::{
    entity::KindRegistry,
    kinds,
    node::{Node, Settings},
    telemetry::Metrics,
};

fn identity(settings: &Settings, environment: &Environment) -> Identity {
    let wanted = Wanted { name: settings.name.clone(), shards: settings.shards.into(), cluster_id: None };
    Identity::open_or_create(&settings.data_dir, &wanted, environment).unwrap()
}

/// How far the first life of the founder came.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    AfterAdoptingTheId,
    AfterInitialisingTheGroup,
}

async fn first_life(settings: &Settings, memory: Arc<Memory>, killed: Killed) {
    let environment = Environment::simulated(1);
    let mut identity = identity(settings, &environment);
    let store = Store::start(memory, &environment, store::Config::default()).unwrap();
    let name = settings.name.clone();
    let rules = Rules::new(name.clone(), [name.clone()].into()).unwrap();
    let own = Own { name, raft_id: identity.raft_id(), incarnation: identity.incarnation(), adopted: None };
    let formation = Formation::open(&store, rules, own, ClusterId(7)).unwrap();
    let actions = formation.step(Event::Retry).await.unwrap();
    let [Action::Found { cluster_id }] = actions[..] else { panic!("it founds alone: {actions:?}") };
    formation.adopt_own(cluster_id, || Ok(identity.adopt_cluster_id(cluster_id)?)).await.unwrap();
    if killed == Killed::AfterInitialisingTheGroup {
        let own = identity.raft_id();
        let system = System::open(own, &store, Arc::new(Isolated), &settings.consensus, &environment);
        let system = system.await.unwrap();
        assert!(system.group().found(&[own].into()).await.unwrap());
        let mut leadership = system.group().leadership();
        leadership.changed().await.unwrap();
    }
    environment.host().crash();
}

/// It once waited for ever for a configuration that only it could write.
#[tokio::test(start_paused = true)]
async fn a_founder_killed_between_two_steps_founds_at_its_next_start() {
    for killed in [Killed::AfterAdoptingTheId, Killed::AfterInitialisingTheGroup] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new("node-0", folder.path());
        let memory = Memory::new();
        first_life(&settings, Arc::clone(&memory), killed).await;
        let memory = memory.crash(Crash::LoseUnsynced);
        let environment = Environment::simulated(2);
        let store = Store::start(memory, &environment, store::Config::default()).unwrap();
        let mut registry = KindRegistry::default();
        kinds::register_all(&mut registry).unwrap();
        let identity = identity(&settings, &environment);
        let metrics = Metrics::new("test");
        let start = Node::start_with(identity, store, &settings, registry, metrics, environment);
        let node = tokio::time::timeout(Duration::from_secs(60), start).await;
        let node = node.unwrap_or_else(|_| panic!("{killed:?}: it does not start")).unwrap();
        assert_eq!(node.router().led_shards(), 16, "{killed:?}");
    }
}
