//! Whole nodes in one process, on a simulated network, with memory for disks and one paused clock.
//!
//! Comes in: orders to start, crash, freeze or leave. Leaves: running nodes. As in a real cluster somebody starts a node
//! again that went down by itself.

use std::{collections::BTreeSet, num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse::{
    entity::KindRegistry,
    kinds,
    node::{Bootstrap, Links, Node, Settings, StartError},
    router::Router,
    telemetry::Metrics,
};
use playhouse_cluster::{
    environment::{Environment, SimulatedNetwork},
    identity::{FILE, Identity, IdentityError, Wanted},
    peering::{self, Cookie, CookieSource, Cookies, Encryption, StaticList},
    store::{self, Crash, Memory, Store},
};
use tokio::time::Instant;

use super::{account::Account, journal::Journal, relay::Relay, transfer::Transfer};

/// What differs between the clusters of two seeds, beside the faults.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub nodes: usize,
    pub shards: u16,
    pub encryption: Encryption,
    /// After how many entries the logs are cut.
    pub log_entries_max: u64,
}

/// A cluster to be.
pub struct World {
    pub network: SimulatedNetwork,
    pub hosts: Vec<Machine>,
    pub shape: Shape,
    directory: Directory,
    seed: u64,
    starts: u64,
    folder: tempfile::TempDir,
}

/// One machine with its disk.
pub struct Machine {
    pub name: String,
    /// Which kinds the release has that is installed there.
    pub kinds: fn() -> KindRegistry,
    pub memory: Arc<Memory>,
    pub running: Option<Running>,
    /// When somebody starts the node again, if it is down.
    pub start_at: Option<Instant>,
    /// Counts the starts of its node.
    pub starts: u64,
}

/// A node that runs, starts or stops.
pub struct Running {
    pub environment: Environment,
    stage: Slot,
}

type Slot = Arc<Mutex<Stage>>;

/// How far a node is.
#[allow(clippy::large_enum_variant)] // There are as many as hosts.
pub enum Stage {
    Starting,
    Up(Node),
    /// It hands over and stops; until then it serves.
    Leaving(Router),
    Left,
    Failed(StartError),
}

/// An older copy of a volume.
pub struct VolumeCopy {
    pub of_start: u64,
    memory: Arc<Memory>,
    identity: Vec<u8>,
}

/// Where clients find routers, whatever happens to the nodes. A cheap handle.
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<Vec<Option<Slot>>>>);

impl Directory {
    /// The router of a node that runs.
    pub fn router(&self, at: usize) -> Option<Router> {
        let slot = self.0.lock().get(at)?.clone()?;
        let stage = slot.lock();
        match &*stage {
            Stage::Up(node) => Some(node.router().clone()),
            Stage::Leaving(router) => Some(router.clone()),
            Stage::Starting | Stage::Left | Stage::Failed(_) => None,
        }
    }

    fn set(&self, at: usize, slot: Option<Slot>) {
        self.0.lock()[at] = slot;
    }
}

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        let cookie = Cookie::derive(b"the cookie of a simulated cluster").expect("it is long enough");
        Cookies { first: cookie, second: None }
    }
}

impl World {
    /// Machines without nodes; the first three form the cluster.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let host = |number| Machine {
            name: format!("node-{number}"),
            kinds: all_kinds,
            memory: Memory::new(),
            running: None,
            start_at: None,
            starts: 0,
        };
        let slots = (0..shape.nodes).map(|_| None).collect();
        Self {
            network: SimulatedNetwork::new(seed),
            hosts: (0..shape.nodes).map(host).collect(),
            shape,
            directory: Directory(Arc::new(Mutex::new(slots))),
            seed,
            starts: 0,
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Where clients find routers.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    fn settings(&self, at: usize) -> Settings {
        let name = &self.hosts[at].name;
        let mut settings = Settings::new(name.clone(), self.volume(at));
        // Entities only: a lane of mail would be one more thing to break and nothing to check.
        settings.distribution = None;
        settings.shards = NonZeroU16::new(self.shape.shards).expect("at least one shard");
        let members: BTreeSet<String> = (0..3).map(|number| format!("node-{number}")).collect();
        settings.bootstrap = Bootstrap { members, initiator: "node-0".to_owned() };
        settings.consensus.log_entries_max = self.shape.log_entries_max;
        settings.consensus.log_entries_kept = self.shape.log_entries_max / 4;
        let addresses = self.hosts.iter().map(|host| format!("{}:4370", host.name));
        settings.links = Some(Links {
            config: peering::Config {
                listen: format!("{name}:4370"),
                encryption: self.shape.encryption,
                ..peering::Config::default()
            },
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
        let stage = Arc::new(Mutex::new(Stage::Starting));
        let (memory, slot, of) = (Arc::clone(&host.memory), Arc::clone(&stage), environment.clone());
        let kinds = (host.kinds)();
        environment.spawn(async move {
            let started = open(settings, kinds, memory, of).await;
            *slot.lock() = started.map_or_else(Stage::Failed, Stage::Up);
        });
        self.directory.set(at, Some(Arc::clone(&stage)));
        host.running = Some(Running { environment, stage });
        host.starts += 1;
        host.start_at = None;
    }

    /// Cuts the power of a machine: what was not synced may be lost. If it is `silent`, others hear nothing of it.
    pub fn crash(&mut self, at: usize, crash: Crash, is_silent: bool) {
        self.directory.set(at, None);
        let host = &mut self.hosts[at];
        let Some(running) = host.running.take() else { return };
        running.environment.host().crash();
        if is_silent {
            self.network.crash_silently(&host.name);
        } else {
            self.network.crash(&host.name);
        }
        self.network.thaw(&host.name);
        host.memory = host.memory.crash(crash);
        // Its tasks hold the node and the node its files; dropped here, when no lock is held.
        drop(std::mem::replace(&mut *running.stage.lock(), Stage::Left));
    }

    /// A graceful end: the node hands over, stops, and is gone.
    pub fn leave(&mut self, at: usize) {
        let Some(running) = &self.hosts[at].running else { return };
        let mut stage = running.stage.lock();
        if !matches!(*stage, Stage::Up(_)) {
            return;
        }
        let Stage::Up(node) = std::mem::replace(&mut *stage, Stage::Left) else { return };
        *stage = Stage::Leaving(node.router().clone());
        let slot = Arc::clone(&running.stage);
        running.environment.spawn(async move {
            node.hand_over(Duration::from_secs(4)).await;
            node.stop(Duration::from_secs(4)).await;
            *slot.lock() = Stage::Left;
        });
    }

    /// The machine stands still.
    pub fn freeze(&self, at: usize) {
        if let Some(running) = &self.hosts[at].running {
            running.environment.host().freeze();
            self.network.freeze(&self.hosts[at].name);
        }
    }

    /// It goes on.
    pub fn thaw(&self, at: usize) {
        if let Some(running) = &self.hosts[at].running {
            self.network.thaw(&self.hosts[at].name);
            running.environment.host().thaw();
        }
    }

    /// A copy of the volume as it is now. `None` before the node belongs to a cluster.
    pub fn copy(&self, at: usize) -> Option<VolumeCopy> {
        let identity = std::fs::read(self.volume(at).join(FILE)).ok()?;
        self.with(at, |node| node.identity().cluster_id())??;
        let host = &self.hosts[at];
        Some(VolumeCopy { of_start: host.starts, memory: host.memory.crash(Crash::Process), identity })
    }

    /// Puts an older copy on the volume of a machine that is down.
    pub fn restore(&mut self, at: usize, copy: &VolumeCopy) {
        std::fs::write(self.volume(at).join(FILE), &copy.identity).expect("it was written before");
        self.hosts[at].memory = copy.memory.crash(Crash::Process);
    }

    /// Replaces the volume of a machine that is down by an empty one.
    pub fn wipe(&mut self, at: usize) {
        std::fs::remove_dir_all(self.volume(at)).expect("it was created before");
        self.hosts[at].memory = Memory::new();
    }

    /// Whether a node runs or starts on the machine.
    pub fn is_running(&self, at: usize) -> bool {
        self.hosts[at].running.is_some()
    }

    /// Whether the node of a machine serves.
    pub fn is_up(&self, at: usize) -> bool {
        self.with(at, |_| ()).is_some()
    }

    /// Whether the node was refused because its volume is an old copy.
    pub fn is_refused_as_restored(&self, at: usize) -> bool {
        self.stage(at, |stage| matches!(stage, Stage::Failed(StartError::RestoredVolume { .. })))
    }

    /// Whether the node of a machine ended by itself: it left, it did not start, or it cannot go on. With the reason.
    pub fn ended(&self, at: usize) -> Option<String> {
        let running = self.hosts[at].running.as_ref()?;
        match &*running.stage.lock() {
            Stage::Left => Some("it left".to_owned()),
            Stage::Failed(error) => Some(error.to_string()),
            Stage::Up(node) => node.fatal().borrow().clone(),
            Stage::Starting | Stage::Leaving(_) => None,
        }
    }

    /// Whether the node waits for the files of the one before it, whose tasks are not dropped yet.
    pub fn waits_for_files(&self, at: usize) -> bool {
        let in_use =
            |stage: &Stage| matches!(stage, Stage::Failed(StartError::Identity(IdentityError::InUse { .. })));
        self.stage(at, in_use)
    }

    fn stage(&self, at: usize, ask: impl FnOnce(&Stage) -> bool) -> bool {
        self.hosts[at].running.as_ref().is_some_and(|running| ask(&running.stage.lock()))
    }

    /// Asks the node of a machine something, if it serves.
    pub fn with<T>(&self, at: usize, ask: impl FnOnce(&Node) -> T) -> Option<T> {
        match &*self.hosts[at].running.as_ref()?.stage.lock() {
            Stage::Up(node) => Some(ask(node)),
            _ => None,
        }
    }
}

/// The kinds that ship, and those of the tests.
pub fn all_kinds() -> KindRegistry {
    let mut all = without_accounts();
    all.register::<Account>().expect("its name is free");
    all
}

/// Those of a release that is older than accounts.
pub fn without_accounts() -> KindRegistry {
    let mut all = KindRegistry::default();
    kinds::register_all(&mut all).expect("the shipped kinds have distinct names");
    let registered = [all.register::<Transfer>(), all.register::<Journal>(), all.register::<Relay>()];
    registered.into_iter().for_each(|registered| registered.expect("these kinds have distinct names"));
    all
}

async fn open(
    settings: Settings,
    kinds: KindRegistry,
    memory: Arc<Memory>,
    environment: Environment,
) -> Result<Node, StartError> {
    let wanted = Wanted {
        name: settings.name.clone(),
        shards: settings.shards.into(),
        cluster_id: settings.cluster_id,
    };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, &environment)?;
    let store = Store::start(memory, &environment, store::Config::default())?;
    Node::start_with(identity, store, &settings, kinds, Metrics::new("simulation"), environment).await
}
