//! Three nodes that form a cluster, and processes to be named.

use std::{
    collections::BTreeSet,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse::{
    entity::KindRegistry,
    kinds,
    node::{Bootstrap, FollowerReport, Links, Node, Settings, StartError},
    process::{self, ClusterNames, ExitReason, Home, Mailbox, Portable, Process, Reply, distribution},
    router::Router,
    telemetry::Metrics,
};
use playhouse_cluster::{
    environment::{Environment, SimulatedNetwork},
    identity::{Identity, IdentityError, Wanted},
    peering::{self, Cookie, CookieSource, Cookies, StaticList},
    store::{self, Crash, Memory, Store},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// Longer than anything takes that is waited for, in the time of the test.
pub const LONG: Duration = Duration::from_secs(60);
const NODES: usize = 3;
const SHARDS: u16 = 4;

pub struct Cluster {
    network: SimulatedNetwork,
    machines: Vec<Machine>,
    folder: tempfile::TempDir,
    starts: u64,
}

struct Machine {
    memory: Arc<Memory>,
    running: Option<(Node, Environment)>,
}

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None }
    }
}

impl Cluster {
    /// Returns when each of them reaches the processes of the others, and all shards and the system group can lose any of them.
    pub async fn start() -> Self {
        let machines = (0..NODES).map(|_| Machine { memory: Memory::new(), running: None }).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { network: SimulatedNetwork::new(1), machines, folder, starts: 0 };
        let starting: Vec<_> = (0..NODES).map(|at| cluster.begin(at)).collect();
        for (at, starting) in starting.into_iter().enumerate() {
            let started = timeout(LONG, starting).await.expect("it starts in time");
            cluster.machines[at].running = Some(started.unwrap());
        }
        cluster.meet().await;
        eventually("each group has three voters", async || cluster.has_all_voters()).await;
        cluster
    }

    fn has_all_voters(&self) -> bool {
        let reports: Vec<_> = (0..NODES).map(|at| self.node(at).report()).collect();
        let groups = reports.iter().flat_map(|report| report.shards.iter().chain(&report.system));
        let has_all = |followers: &[FollowerReport]| {
            followers.iter().filter(|follower| follower.votes).count() == NODES - 1
        };
        groups.filter(|group| has_all(&group.followers)).count() == usize::from(SHARDS) + 1
    }

    pub fn names(&self, at: usize) -> ClusterNames {
        self.node(at).cluster_names().unwrap()
    }

    pub fn home(&self, at: usize) -> Home {
        self.node(at).distribution().unwrap().home()
    }

    pub fn router(&self, at: usize) -> Router {
        self.node(at).router().clone()
    }

    /// Cuts its power.
    pub fn crash(&mut self, at: usize) {
        let (node, environment) = self.machines[at].running.take().unwrap();
        environment.host().crash();
        self.network.crash(&name(at));
        self.machines[at].memory = self.machines[at].memory.crash(Crash::LoseUnsynced);
        drop(node);
    }

    /// Its disk is lost, too.
    pub fn lose_volume(&mut self, at: usize) {
        self.machines[at].memory = Memory::new();
        let lost = self.folder.path().join(name(at));
        std::fs::rename(&lost, self.folder.path().join(format!("lost-{}", self.starts))).unwrap();
    }

    /// Nobody reaches it, and it reaches nobody.
    pub fn cut_off(&self, at: usize) {
        for other in (0..NODES).filter(|other| *other != at) {
            self.network.cut(&name(at), &name(other));
            self.network.cut(&name(other), &name(at));
        }
    }

    pub fn heal(&self) {
        self.network.heal_all();
    }

    /// Starts it again on its volume.
    pub async fn restart(&mut self, at: usize) {
        let start = async {
            loop {
                match self.begin(at).await {
                    Ok(running) => return running,
                    // The tasks of the one before are not all dropped yet.
                    Err(StartError::Identity(IdentityError::InUse { .. })) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let running = timeout(LONG, start).await.expect("it starts in time");
        self.machines[at].running = Some(running);
        self.meet().await;
    }

    fn node(&self, at: usize) -> &Node {
        &self.machines[at].running.as_ref().unwrap().0
    }

    async fn meet(&self) {
        for at in 0..NODES {
            let mut peers = self.node(at).distribution().unwrap().peers();
            let met = timeout(LONG, peers.wait_for(|peers| peers.len() == NODES - 1)).await;
            drop(met.expect("they meet"));
        }
    }

    fn begin(&mut self, at: usize) -> impl Future<Output = Result<(Node, Environment), StartError>> + use<> {
        self.starts += 1;
        let environment = self.network.environment(&name(at), self.starts);
        let memory = Arc::clone(&self.machines[at].memory);
        let starting = open(self.settings(at), memory, environment.clone());
        let task = environment.spawn(starting);
        async move { Ok((task.await.expect("it is not crashed while it starts")?, environment)) }
    }

    fn settings(&self, at: usize) -> Settings {
        let mut settings = Settings::new(name(at), self.folder.path().join(name(at)));
        settings.shards = NonZeroU16::new(SHARDS).unwrap();
        let members: BTreeSet<String> = (0..NODES).map(name).collect();
        settings.bootstrap = Bootstrap { members, initiator: name(0) };
        settings.distribution = Some(distribution::Config::default());
        let addresses = (0..NODES).map(|at| format!("{}:4370", name(at)));
        settings.links = Some(Links {
            config: peering::Config { listen: format!("{}:4370", name(at)), ..peering::Config::default() },
            cookies: Arc::new(OneCookie),
            discovery: Arc::new(StaticList::new(addresses)),
        });
        settings
    }
}

fn name(at: usize) -> String {
    format!("node-{at}")
}

async fn open(settings: Settings, memory: Arc<Memory>, environment: Environment) -> Result<Node, StartError> {
    let wanted = Wanted { name: settings.name.clone(), shards: settings.shards.into(), cluster_id: None };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, &environment)?;
    let store = Store::start(memory, &environment, store::Config::default())?;
    let mut registry = KindRegistry::default();
    kinds::register_all(&mut registry).unwrap();
    Node::start_with(identity, store, &settings, registry, Metrics::new("test"), environment).await
}

/// Asks again and again, until it is so.
pub async fn eventually(claim: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LONG * 5, wait).await.unwrap_or_else(|_| panic!("never: {claim}"));
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Say {
    /// It answers who it is on its own node.
    Answer(Reply<String>),
    End(ExitReason),
}

impl ractor::Message for Say {}

impl Portable for Say {
    const NAME: &'static str = "say.1";
}

/// Nobody takes these.
#[derive(Debug, Serialize, Deserialize)]
pub enum Other {}

impl ractor::Message for Other {}

impl Portable for Other {
    const NAME: &'static str = "other.1";
}

struct Listener;

impl Actor for Listener {
    type Msg = Say;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Say>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Say>, say: Say, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match say {
            Say::Answer(reply) => drop(reply.send(Process::of(&myself).unwrap().id().to_string())),
            Say::End(reason) => return Err(reason.into()),
        }
        Ok(())
    }
}

pub async fn listener() -> Process<Say> {
    process::spawn(Listener, (), Mailbox::default()).await.unwrap()
}

/// Counts how many of a singleton run at a time.
#[derive(Clone, Default)]
pub struct Stage(Arc<[AtomicUsize; 3]>);

impl Stage {
    pub fn running(&self) -> usize {
        self.0[0].load(SeqCst)
    }

    pub fn running_max(&self) -> usize {
        self.0[1].load(SeqCst)
    }

    pub fn starts(&self) -> usize {
        self.0[2].load(SeqCst)
    }

    fn enter(self) -> OnStage {
        let running = self.0[0].fetch_add(1, SeqCst) + 1;
        self.0[1].fetch_max(running, SeqCst);
        self.0[2].fetch_add(1, SeqCst);
        OnStage(self)
    }
}

pub struct OnStage(Stage);

impl Drop for OnStage {
    fn drop(&mut self) {
        self.0.0[0].fetch_sub(1, SeqCst);
    }
}

/// There is one of it. It takes `last_words` to stop.
#[derive(Default)]
pub struct Only {
    pub last_words: Duration,
}

impl Actor for Only {
    type Msg = Say;
    type State = OnStage;
    type Arguments = Stage;

    async fn pre_start(&self, _: ActorRef<Say>, stage: Stage) -> Result<OnStage, ActorProcessingErr> {
        Ok(stage.enter())
    }

    async fn handle(
        &self,
        myself: ActorRef<Say>,
        say: Say,
        _: &mut OnStage,
    ) -> Result<(), ActorProcessingErr> {
        Listener.handle(myself, say, &mut ()).await
    }

    async fn post_stop(&self, _: ActorRef<Say>, _: &mut OnStage) -> Result<(), ActorProcessingErr> {
        tokio::time::sleep(self.last_words).await;
        Ok(())
    }
}
