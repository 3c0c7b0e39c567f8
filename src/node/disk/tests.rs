//! Three nodes in one process, on a simulated network; the disk of one of them fails.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

use playhouse_cluster::{
    consensus::RaftId,
    environment::SimulatedNetwork,
    identity::{Identity, Wanted},
    peering::{self, Cookie, CookieSource, Cookies, StaticList},
    store::{self, Memory, Store},
};

use super::*;
use crate::{
    entity::KindRegistry,
    kinds::{self, Counter, counter},
    node::{Bootstrap, Links, Node, Settings},
    protocol::{CallError, Key},
    telemetry::Metrics,
};

const NAMES: [&str; 3] = ["a", "b", "c"];
const SHARDS: NonZeroU16 = NonZeroU16::new(6).unwrap();

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None }
    }
}

struct Trio {
    nodes: Vec<Node>,
    disks: Vec<Arc<Memory>>,
    _volumes: tempfile::TempDir,
}

fn settings(name: &str, volumes: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::new(name, volumes.path().join(name));
    settings.shards = SHARDS;
    let members: BTreeSet<String> = NAMES.map(str::to_owned).into();
    settings.bootstrap = Bootstrap { members, initiator: "a".to_owned() };
    settings.links = Some(Links {
        config: peering::Config { listen: format!("{name}:4370"), ..peering::Config::default() },
        cookies: Arc::new(OneCookie),
        discovery: Arc::new(StaticList::new(NAMES.map(|name| format!("{name}:4370")))),
    });
    settings
}

async fn start(settings: Settings, disk: Arc<Memory>, environment: Environment) -> Node {
    let wanted = Wanted { name: settings.name.clone(), shards: settings.shards.into(), cluster_id: None };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, &environment).unwrap();
    let store = Store::start(disk, &environment, store::Config::default()).unwrap();
    let mut known = KindRegistry::default();
    kinds::register_all(&mut known).unwrap();
    let metrics = Metrics::new("test");
    Node::start_with(identity, store, &settings, known, metrics, environment).await.unwrap()
}

impl Trio {
    async fn start() -> Self {
        let (network, volumes) = (SimulatedNetwork::new(1), tempfile::tempdir().unwrap());
        let disks: Vec<_> = NAMES.iter().map(|_| Memory::new()).collect();
        let starting = NAMES.iter().zip(&disks).zip(1..).map(|((name, disk), seed)| {
            let environment = network.environment(name, seed);
            let started = start(settings(name, &volumes), Arc::clone(disk), environment.clone());
            let started = environment.spawn(started);
            async move { started.await.unwrap() }
        });
        let nodes = futures_util::future::join_all(starting).await;
        let trio = Self { nodes, disks, _volumes: volumes };
        trio.until(|trio| trio.nodes.iter().all(|node| node.router().led_shards() == 2)).await;
        trio
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wanted = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wanted).await.expect("it becomes so");
    }

    /// Adds one to counters of all shards, through one node.
    async fn add(&self, through: usize) -> Vec<Result<i64, CallError>> {
        let counters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"].map(|key| {
            let counter = self.nodes[through].entity::<Counter>(Key::new(key).unwrap());
            async move { counter.call(&counter::Command::Add(1)).await.map(|reply| reply.value) }
        });
        futures_util::future::join_all(counters).await
    }

    fn raft_id(&self, at: usize) -> RaftId {
        self.nodes[at].identity().raft_id()
    }

    fn is_healthy_for(&self, other: usize, at: usize) -> bool {
        let peering = self.nodes[other].council.peering.as_ref().unwrap();
        peering.peers().borrow()[&self.raft_id(at)].store_healthy
    }

    /// The disk of `at` is given up within `within`, and the others serve everything.
    async fn assert_given_up(&self, at: usize, within: Duration) {
        let start = tokio::time::Instant::now();
        self.until(|trio| trio.nodes[at].has_lost_disk()).await;
        assert!(start.elapsed() <= within, "noticed after {:?}", start.elapsed());
        let others: Vec<usize> = (0..3).filter(|other| *other != at).collect();
        let all_led = |trio: &Self| {
            others.iter().map(|other| trio.nodes[*other].router().led_shards()).sum::<usize>() == 6
        };
        self.until(all_led).await;
        assert!(start.elapsed() <= within + Duration::from_secs(3), "led again after {:?}", start.elapsed());
        assert!(self.nodes[at].fatal().borrow().is_some());
        for other in others {
            assert!(!self.is_healthy_for(other, at));
            assert!(self.add(other).await.iter().all(Result::is_ok));
        }
    }
}

fn simulate<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_disk_that_hangs_costs_the_node_its_leaderships_and_no_acknowledged_effect() {
    simulate(async {
        let trio = Trio::start().await;
        assert!(trio.add(0).await.iter().all(|reply| *reply == Ok(1)));
        trio.disks[0].faults().set_latency(Duration::from_secs(3_600));
        let hanging = tokio::time::timeout(Duration::from_secs(1), trio.add(1)).await;
        let answered = hanging.map(|replies| replies.iter().filter(|reply| reply.is_ok()).count());
        trio.assert_given_up(0, SYNC_WITHIN + Duration::from_secs(1)).await;
        // Each counter was added to before, perhaps meanwhile, and twice by the check.
        let values = trio.add(2).await;
        assert!(values.iter().all(|value| matches!(value, Ok(4 | 5))), "{values:?}, {answered:?} meanwhile");
    });
}

#[test]
fn a_disk_that_fails_is_given_up_at_once() {
    simulate(async {
        let trio = Trio::start().await;
        trio.disks[1].faults().fail_syncs();
        drop(tokio::time::timeout(Duration::from_secs(1), trio.add(0)).await);
        trio.assert_given_up(1, Duration::from_secs(1)).await;
    });
}

#[test]
fn a_disk_that_is_full_or_slow_is_not_given_up() {
    simulate(async {
        let trio = Trio::start().await;
        trio.disks[2].faults().set_latency(SYNC_WITHIN - Duration::from_secs(1));
        drop(tokio::time::timeout(Duration::from_secs(20), trio.add(0)).await);
        trio.disks[2].faults().set_latency(Duration::ZERO);
        trio.disks[2].faults().set_full(true);
        drop(tokio::time::timeout(Duration::from_secs(1), trio.add(0)).await);
        trio.until(|trio| !trio.is_healthy_for(0, 2)).await;
        tokio::time::sleep(WRITE_WITHIN * 2).await;
        assert!(!trio.nodes[2].has_lost_disk());
        assert_eq!(*trio.nodes[2].fatal().borrow(), None);
        trio.disks[2].faults().set_full(false);
        trio.until(|trio| trio.is_healthy_for(0, 2)).await;
        assert!(trio.add(2).await.iter().all(Result::is_ok));
    });
}
