//! Whole nodes in one process, on a simulated network, with memory for disks and one paused clock.

use std::{collections::BTreeSet, num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};

use playhouse::{
    entity::KindRegistry,
    kinds,
    node::{Bootstrap, Links, Node, Settings, StartError},
    router::Router,
    telemetry::Metrics,
};
use playhouse_cluster::{
    environment::{Environment, SimulatedNetwork},
    identity::{Identity, Wanted},
    peering::{self, Cookie, CookieSource, Cookies, StaticList},
    store::{self, Crash, Memory, Store},
};

/// A cluster to be.
pub struct World {
    pub network: SimulatedNetwork,
    pub hosts: Vec<SimulatedHost>,
    seed: u64,
    starts: u64,
    folder: tempfile::TempDir,
    shards: NonZeroU16,
}

/// One machine with its disk.
pub struct SimulatedHost {
    pub name: String,
    memory: Arc<Memory>,
    pub running: Option<Running>,
}

/// A node that runs, or starts.
pub struct Running {
    pub environment: Environment,
    node: Arc<parking_lot::Mutex<Option<Result<Node, StartError>>>>,
}

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        let cookie = Cookie::derive(b"the cookie of a simulated cluster").expect("it is long enough");
        Cookies { first: cookie, second: None }
    }
}

impl World {
    /// `count` machines; the first three form the cluster. Nothing runs yet.
    pub fn new(seed: u64, count: usize, shards: u16) -> Self {
        let host =
            |number| SimulatedHost { name: format!("node-{number}"), memory: Memory::new(), running: None };
        Self {
            network: SimulatedNetwork::new(seed),
            hosts: (0..count).map(host).collect(),
            seed,
            starts: 0,
            folder: tempfile::tempdir().expect("a temporary folder"),
            shards: NonZeroU16::new(shards).expect("at least one shard"),
        }
    }

    fn settings(&self, at: usize) -> Settings {
        let name = &self.hosts[at].name;
        let mut settings = Settings::new(name.clone(), self.volume(at));
        settings.shards = self.shards;
        let members: BTreeSet<String> = (0..3).map(|number| format!("node-{number}")).collect();
        settings.bootstrap = Bootstrap { members, initiator: "node-0".to_owned() };
        let addresses = self.hosts.iter().map(|host| format!("{}:4370", host.name));
        settings.links = Some(Links {
            config: peering::Config { listen: format!("{name}:4370"), ..peering::Config::default() },
            cookies: Arc::new(OneCookie),
            discovery: Arc::new(StaticList::new(addresses)),
        });
        settings
    }

    fn volume(&self, at: usize) -> PathBuf {
        self.folder.path().join(&self.hosts[at].name)
    }

    /// Starts the node of a machine, in the background.
    pub fn start(&mut self, at: usize) {
        self.starts += 1;
        let settings = self.settings(at);
        let host = &mut self.hosts[at];
        let environment = self.network.environment(&host.name, self.seed.wrapping_mul(1_000) + self.starts);
        let node = Arc::new(parking_lot::Mutex::new(None));
        let (memory, slot, of) = (Arc::clone(&host.memory), Arc::clone(&node), environment.clone());
        environment.spawn(async move {
            let started = open(settings, memory, of).await;
            *slot.lock() = Some(started);
        });
        host.running = Some(Running { environment, node });
    }

    /// Cuts the power of a machine: what was not synced may be lost.
    pub fn crash(&mut self, at: usize, crash: Crash) {
        let host = &mut self.hosts[at];
        if let Some(running) = host.running.take() {
            running.environment.host().crash();
            self.network.crash(&host.name);
            drop(running);
            host.memory = host.memory.crash(crash);
        }
    }

    /// The router of a node that runs.
    pub fn router(&self, at: usize) -> Option<Router> {
        let node = self.hosts[at].running.as_ref()?.node.lock();
        node.as_ref()?.as_ref().ok().map(|node| node.router().clone())
    }

    /// Asks the node of a machine something, if it runs.
    pub fn with<T>(&self, at: usize, ask: impl FnOnce(&Node) -> T) -> Option<T> {
        let node = self.hosts[at].running.as_ref()?.node.lock();
        node.as_ref()?.as_ref().ok().map(ask)
    }

    /// Why the node of a machine did not start, if it did not.
    pub fn refusal(&self, at: usize) -> Option<String> {
        let node = self.hosts[at].running.as_ref()?.node.lock();
        node.as_ref()?.as_ref().err().map(ToString::to_string)
    }

    /// Waits until `is_so`, at most `limit` of simulated time.
    pub async fn wait(&self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while !is_so(self) {
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }
}

async fn open(settings: Settings, memory: Arc<Memory>, environment: Environment) -> Result<Node, StartError> {
    let wanted = Wanted {
        name: settings.name.clone(),
        shards: settings.shards.into(),
        cluster_id: settings.cluster_id,
    };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, &environment)?;
    let store = Store::start(memory, &environment, store::Config::default())?;
    let mut kinds = KindRegistry::default();
    kinds::register_all(&mut kinds).expect("the shipped kinds have distinct names");
    Node::start_with(identity, store, &settings, kinds, Metrics::new("simulation"), environment).await
}
