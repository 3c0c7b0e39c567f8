//! One node inside this process, on two runtimes as `playhouse run` has them.

use std::{path::Path, sync::Arc, time::Duration};

use playhouse::{
    config::{Sources, resolve},
    entity::Entity,
    node::{Links, Node, Settings},
    process::ClusterNames,
    protocol::Key,
    router::{EntityRef, Router},
    telemetry::Metrics,
};
use playhouse_cluster::{
    consensus::RaftId,
    environment::Environment,
    membership::Shard,
    peering::{self, CookieFiles, CookieFilesConfig, StaticList},
    store::EngineKind,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::Instant,
};

/// How long a node may take to count what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many threads each of the two runtimes of a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As `playhouse run`: one per core, at least two.
    AsRun,
    /// One for all but user code and one for user code: as many as this machine has cores, if it has two.
    One,
}

impl Threads {
    fn count(self) -> usize {
        match self {
            Self::AsRun => std::thread::available_parallelism().map_or(2, usize::from).max(2),
            Self::One => 1,
        }
    }

    /// What the name of a row says of it.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::AsRun => "",
            Self::One => ", 1 + 1 threads",
        }
    }
}

/// A node and the runtimes that it runs on.
pub struct TestNode {
    node: Node,
    metrics: Metrics,
    environment: Environment,
    core: Runtime,
    executors: Runtime,
}

/// What `playhouse run` would be told for a volume at `folder`.
#[must_use]
pub fn settings(folder: &Path, engine: EngineKind) -> Settings {
    Settings { engine, ..Settings::new("bench-0", folder) }
}

/// A runtime as each of a node's two is.
///
/// # Panics
///
/// When the operating system refuses threads.
#[must_use]
pub fn runtime() -> Runtime {
    runtime_of(Threads::AsRun)
}

/// A runtime of the calling thread, for clients that must not take more of the machine than they need.
///
/// # Panics
///
/// When the operating system refuses one.
#[must_use]
pub fn small_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the operating system gives a runtime")
}

fn runtime_of(threads: Threads) -> Runtime {
    let built = Builder::new_multi_thread().worker_threads(threads.count()).enable_all().build();
    built.expect("the operating system gives threads")
}

/// Where everything runs on one runtime.
#[must_use]
pub fn environment(tasks: &Handle) -> Environment {
    Environment::real(tasks.clone(), tasks.clone())
}

fn links(settings: &Settings, environment: &Environment) -> Links {
    let peers = &settings.peers;
    let cookie = peers.cookie_file.clone().expect("a cluster has a cookie");
    let cookies = CookieFiles::open(CookieFilesConfig::new(cookie, None), environment);
    Links {
        config: peering::Config {
            listen: peers.listen.clone(),
            encryption: peers.encryption,
            ..peering::Config::default()
        },
        cookies: Arc::new(cookies.expect("the bench wrote it")),
        discovery: Arc::new(StaticList::new(peers.seeds.iter().cloned())),
    }
}

impl TestNode {
    /// Returns when every shard has a leader.
    ///
    /// # Panics
    ///
    /// When the node does not start.
    #[must_use]
    pub fn start(settings: &Settings) -> Self {
        Self::start_on(settings, Threads::AsRun)
    }

    /// As [`start`](Self::start), on fewer threads.
    ///
    /// # Panics
    ///
    /// When the node does not start.
    #[must_use]
    pub fn start_on(settings: &Settings, threads: Threads) -> Self {
        Self::start_given(threads, |_| settings.clone())
    }

    /// A node of a cluster, told as `playhouse run --set` is. Returns when the cluster has taken it in.
    ///
    /// # Panics
    ///
    /// When the node does not start.
    #[must_use]
    pub fn join(flags: &[String]) -> Self {
        let flags = flags.iter().filter_map(|flag| flag.split_once('='));
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let resolved =
            resolve(&Sources::default().with_flags(flags)).expect("the bench chooses allowed settings");
        Self::start_given(Threads::AsRun, |environment| {
            let settings = Settings::of(&resolved.config);
            let links = links(&settings, environment);
            // References to processes are one per operating system process, and this one starts several nodes.
            Settings { links: Some(links), processes: None, ..settings }
        })
    }

    fn start_given(threads: Threads, settings: impl FnOnce(&Environment) -> Settings) -> Self {
        let (core, executors) = (runtime_of(threads), runtime_of(threads));
        let environment = Environment::real(core.handle().clone(), executors.handle().clone());
        let metrics = Metrics::new("bench");
        let kinds = crate::cluster::kinds().kinds();
        let start = async {
            let settings = settings(&environment);
            Node::start(&settings, kinds, metrics.clone(), environment.clone()).await
        };
        let node = core.block_on(start);
        Self { node: node.expect("the node starts"), metrics, environment, core, executors }
    }

    /// An entity of this node.
    ///
    /// # Panics
    ///
    /// When `key` is not allowed.
    #[must_use]
    pub fn entity<E: Entity>(&self, key: &str) -> EntityRef<E> {
        self.node.entity(Key::new(key).expect("the bench chooses allowed keys"))
    }

    /// Entities of this node, for tasks that name many.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.node.router()
    }

    /// Whether each shard has as many replicas as it should, as far as this node knows.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        let Ok(overview) = self.core.block_on(self.node.operator().overview()) else { return false };
        let wanted = overview.state.voters_wanted();
        let is_whole = |shard: &Shard| {
            let replicas = &shard.replicas;
            replicas.wanted.is_none() && replicas.voters.len() == wanted
        };
        overview.state.map().iter().all(is_whole)
    }

    /// Its id in its groups.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.node.identity().raft_id()
    }

    /// Names of processes in the whole cluster.
    ///
    /// # Panics
    ///
    /// When this node is alone.
    #[must_use]
    pub fn cluster_names(&self) -> ClusterNames {
        self.node.cluster_names().expect("nodes of a cluster have them unless told otherwise")
    }

    /// What the node counts; all that is read on demand was read now.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.core.block_on(self.node.meters().read());
        &self.metrics
    }

    /// Waits until the node counts what is expected. What its shards have is counted once in a second.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub fn wait_until_counted(&self, what: &str, is_so: impl Fn(&Metrics) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self.metrics()) {
            assert!(Instant::now() < deadline, "{what} in time");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts a task on the threads of the node's core.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.environment.spawn(work)
    }

    /// Waits for `work` on this thread.
    pub fn wait<F: Future>(&self, work: F) -> F::Output {
        self.core.block_on(work)
    }

    /// Runs one task per input at once, on the threads of the node's core, and returns what they return.
    ///
    /// # Panics
    ///
    /// When a task does.
    pub fn each<I, F>(&self, inputs: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Vec<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let tasks: Vec<_> = inputs.into_iter().map(|input| self.environment.spawn(work(input))).collect();
        let all = futures_util::future::join_all(tasks);
        self.core.block_on(all).into_iter().map(|done| done.expect("no task panics")).collect()
    }

    /// Stops without handing anything over: for a node whose peers are gone.
    pub fn abandon(self) {
        self.end_within(Duration::ZERO);
    }

    /// Drains and stops.
    pub fn stop(self) {
        self.end_within(Duration::from_secs(10));
    }

    fn end_within(self, budget: Duration) {
        self.core.block_on(self.node.stop(budget));
        self.executors.shutdown_timeout(Duration::from_secs(1));
        self.core.shutdown_timeout(Duration::from_secs(1));
    }
}
