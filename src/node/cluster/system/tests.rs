//! Three replicas of the configuration: what waits is decided together, and by nobody who was cut off and does not know it.

use futures_util::{future::join_all, poll};
use playhouse_cluster::{
    consensus::Term,
    identity::{ClusterId, Incarnation},
    membership::{Founding, Node, Volume, bootstrap::Rules},
    store::{self, Memory},
};

use super::{desk::COMMANDS_MAX, *};
use crate::node::replicas::{Link, Mesh};

const OTHERS: RaftId = RaftId(99);
const SHARDS: u32 = 400;

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

pub(super) fn founded() -> ClusterState {
    let founder = Node {
        name: "node-0".into(),
        raft_id: RaftId(1),
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards: SHARDS,
        zone: String::new(),
        track: String::new(),
        release: "1".into(),
        protocol: (1, 1),
    };
    let rules = Rules::new("node-0".into(), ["node-0".into()].into()).unwrap();
    let founding = Founding { rules, cluster_id: ClusterId(1), shards: SHARDS, replication_factor: 3 };
    ClusterState::found(founding, &founder, 0).unwrap()
}

fn moved(shard: u32) -> Command {
    Command::Moved { which: Which::Shard(shard), voters: [RaftId(1)].into(), at: 7 }
}

/// The leader of three, which holds the first configuration.
async fn founded_leader(systems: &[System]) -> System {
    let (system, term) = leader(systems).await;
    let state = Arc::new(founded());
    system.replace(&mut *system.inner.desk.lock().await, term, &state).await.unwrap();
    system
}

fn cut_off(mesh: &Mesh, system: &System) {
    let own = system.group().own();
    for other in [1, 2, 3].map(RaftId).into_iter().filter(|other| *other != own) {
        mesh.cuts.lock().extend([(own, other), (other, own)]);
    }
}

/// Each was a proposal of its own, so a thousand shards took minutes to tell that they had moved.
#[tokio::test(start_paused = true)]
async fn commands_that_wait_are_one_proposal_and_each_has_its_own_answer() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let system = founded_leader(&systems).await;
    let applied = *system.group().applied().borrow();
    let mut commands: Vec<_> = (0..300).map(moved).collect();
    commands[100] = Command::Forget { raft_id: OTHERS };
    commands[200] = moved(0); // Again.
    let mut asked: Vec<_> = commands.iter().map(|command| Box::pin(system.execute(command))).collect();
    for one in &mut asked {
        assert!(poll!(one).is_pending());
    }
    let answers = join_all(asked).await;
    let mut revision = founded().revision();
    for (at, answer) in answers.into_iter().enumerate() {
        revision += u64::from(at != 100 && at != 200);
        if at == 100 {
            assert!(matches!(answer, Err(ExecuteError::Refused(Refusal::Unknown { .. }))), "{answer:?}");
        } else {
            assert_eq!(answer, Ok(revision), "{at}");
        }
    }
    let proposals = 300_u64.div_ceil(COMMANDS_MAX as u64);
    assert_eq!(*system.group().applied().borrow(), applied + proposals);
    let has_all = |known: &Known| known.as_ref().is_some_and(|state| state.revision() == revision);
    for system in &systems {
        let mut known = system.known();
        let known = known.wait_for(has_all).await.unwrap();
        let state = known.as_ref().unwrap();
        let is_told = |shard: &u32| state.map()[*shard as usize].replicas.confirmed_at == 7;
        let told: Vec<_> = (0..SHARDS).filter(is_told).collect();
        assert_eq!(told, (0..300).filter(|at| *at != 100 && *at != 200).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_carried_out() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let system = founded_leader(&systems).await;
    let (given_up, kept) = (moved(0), moved(1));
    let mut asked = Box::pin(system.execute(&given_up));
    assert!(poll!(&mut asked).is_pending());
    drop(asked);
    assert_eq!(system.execute(&kept).await, Ok(2));
    let state = system.known().borrow().clone().unwrap();
    assert_eq!([0, 1].map(|shard: usize| state.map()[shard].replicas.confirmed_at), [0, 7]);
}

#[tokio::test(start_paused = true)]
async fn too_many_commands_are_told_to_ask_again() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let system = founded_leader(&systems).await;
    let command = moved(0);
    let mut asked: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(system.execute(&command))).collect();
    for one in &mut asked {
        assert!(poll!(one).is_pending());
    }
    assert_eq!(system.execute(&command).await, Err(ExecuteError::Busy));
    assert_eq!(join_all(asked).await, vec![Ok(2); WAITING_MAX]);
    assert_eq!(system.execute(&moved(1)).await, Ok(3));
}

/// Also what is refused for the sake of a command before it, which was never committed.
#[tokio::test(start_paused = true)]
async fn nothing_is_certain_of_a_proposal_that_was_lost() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let old = founded_leader(&systems).await;
    cut_off(&mesh, &old);
    let (first, refused, again) = (moved(0), Command::Forget { raft_id: OTHERS }, moved(0));
    let asked = tokio::join!(old.execute(&first), old.execute(&refused), old.execute(&again));
    for answer in [asked.0, asked.1, asked.2] {
        let is_open = matches!(answer, Err(ExecuteError::Unknown(_) | ExecuteError::NotLeader { .. }));
        assert!(is_open, "{answer:?}");
    }
    let others: Vec<_> =
        systems.iter().filter(|one| one.group().own() != old.group().own()).cloned().collect();
    let (new, _) = leader(&others).await;
    assert_eq!(new.execute(&first).await, Ok(2), "asking again is safe");
    mesh.cuts.lock().clear();
    let mut known = old.known();
    let is_new = |known: &Known| known.as_ref().is_some_and(|state| state.revision() == 2);
    drop(known.wait_for(is_new).await.unwrap());
}

/// It answered from its old configuration whatever changes nothing in that, although the next leader had changed it.
#[tokio::test(start_paused = true)]
async fn a_deposed_leader_answers_not_even_what_changes_nothing() {
    let mesh = Arc::new(Mesh::default());
    let systems = three(&mesh).await;
    let old = founded_leader(&systems).await;
    let nothing_new = Command::Reached { raft_id: RaftId(1), incarnation: Incarnation(1) };
    let refused = Command::Forget { raft_id: OTHERS };
    assert_eq!(old.execute(&nothing_new).await, Ok(1));
    assert!(matches!(old.execute(&refused).await, Err(ExecuteError::Refused(_))));
    for system in &systems {
        system.known().wait_for(Option::is_some).await.unwrap();
    }

    cut_off(&mesh, &old);
    let own = old.group().own();
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
