//! Three replicas of the configuration, whose leader is cut off and does not know it.

use playhouse_cluster::{
    identity::{ClusterId, Incarnation},
    membership::{Founding, Node, Volume, bootstrap::Rules},
    store::{self, Memory},
};

use super::*;
use crate::node::replicas::{Link, Mesh};

const OTHERS: RaftId = RaftId(99);

async fn three(mesh: &Arc<Mesh>) -> Vec<System> {
    let environment = Environment::simulated(1);
    let mut systems = Vec::new();
    for own in [1, 2, 3].map(RaftId) {
        let store = Store::start(Memory::new(), &environment, store::Config::default()).unwrap();
        let link = Link { from: own, mesh: Arc::downgrade(mesh), environment: environment.clone() };
        let config = consensus::Config::default();
        let system = System::open(own, &store, Arc::new(link), &config, &environment).await.unwrap();
        mesh.groups.lock().push(system.group().clone());
        systems.push(system);
    }
    systems[0].group().found(&[1, 2, 3].map(RaftId).into()).await.unwrap();
    systems
}

/// Who leads among these, and in which term.
async fn leader(among: &[System]) -> (System, Term) {
    for _ in 0..10_000 {
        let term = |system: &System| match *system.group().leadership().borrow() {
            Leadership::Leader { term } => Some(term),
            _ => None,
        };
        let newest = among.iter().filter_map(|system| Some((term(system)?, system))).max_by_key(|led| led.0);
        if let Some((term, system)) = newest {
            return (system.clone(), term);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("none of them leads");
}

fn founded() -> ClusterState {
    let founder = Node {
        name: "node-0".into(),
        raft_id: RaftId(1),
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards: 1,
        zone: String::new(),
        track: String::new(),
        release: "1".into(),
        protocol: (1, 1),
    };
    let rules = Rules::new("node-0".into(), ["node-0".into()].into()).unwrap();
    let founding = Founding { rules, cluster_id: ClusterId(1), shards: 1, replication_factor: 3 };
    ClusterState::found(founding, &founder, 0).unwrap()
}

/// It answered from its old configuration whatever changes nothing in that, although the next leader had changed it.
#[tokio::test(start_paused = true)]
async fn a_deposed_leader_answers_not_even_what_changes_nothing() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let (old, term) = leader(&systems).await;
    let state = founded();
    old.replace(&mut *old.inner.desk.lock().await, term, &state).await.unwrap();
    let nothing_new = Command::Reached { raft_id: RaftId(1), incarnation: Incarnation(1) };
    let refused = Command::Forget { raft_id: OTHERS };
    assert_eq!(old.execute(&nothing_new).await, Ok(Arc::new(state)));
    assert!(matches!(old.execute(&refused).await, Err(ExecuteError::Refused(_))));
    for system in &systems {
        system.known().wait_for(Option::is_some).await.unwrap();
    }

    let own = old.group().own();
    for other in [1, 2, 3].map(RaftId).into_iter().filter(|other| *other != own) {
        mesh.cuts.lock().extend([(own, other), (other, own)]);
    }
    assert!(matches!(*old.group().leadership().borrow(), Leadership::Leader { .. }), "it does not know yet");
    for command in [&nothing_new, &refused] {
        assert_eq!(old.execute(command).await, Err(ExecuteError::NotLeader { leader: None }), "{command:?}");
    }
    let others: Vec<_> = systems.iter().filter(|system| system.group().own() != own).cloned().collect();
    let (new, _) = leader(&others).await;
    let drain = Command::Drain { raft_id: RaftId(1), incarnation: Incarnation(1) };
    assert!(new.execute(&drain).await.is_ok());
    for command in [&nothing_new, &refused] {
        assert_eq!(old.execute(command).await, Err(ExecuteError::NotLeader { leader: None }), "{command:?}");
    }
}
