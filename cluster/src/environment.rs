//! The only source of clock, random numbers, tasks, threads and connections.
//!
//! Everything that would make two runs differ comes through [`Environment`], so that a simulation can
//! replay a run from one seed. `clippy.toml` bans the other ways, with the reason.

mod host;
mod network;
mod simulated_network;
mod vital;
pub mod watch;

use std::{
    future::Future,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::future::Either;
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

pub use host::Host;
pub use network::{Connection, Listener, Network, ReadEnd, SharedNetwork, Tcp, WriteEnd};
pub use simulated_network::{FaultCounts, SimulatedNetwork, WINDOW_BYTES_MAX};

use crate::collections::Hasher;

/// A cheap handle; every service of a node holds one.
#[derive(Clone, Debug)]
pub struct Environment {
    inner: Arc<Inner>,
    network: SharedNetwork,
}

#[derive(Debug)]
struct Inner {
    wall: Wall,
    random: Mutex<SmallRng>,
    /// Hash seed of maps whose keys are chosen by clients.
    hash_seed: u64,
    /// From where [`aligned_here`] counts.
    origin: Instant,
    /// Where consensus, link, gateway and ops run.
    core: Handle,
    /// Where shard executors run, apart from `core`, so that a looping handler cannot cost a lease.
    executors: Handle,
    /// The real world has no switch.
    host: Option<Host>,
    /// The first vital task that panicked.
    panicked: watch::Sender<Option<&'static str>>,
}

tokio::task_local! {
    /// The simulated environment that the current task was started through.
    static CURRENT: Environment;
}

#[derive(Debug)]
enum Wall {
    System,
    /// Milliseconds since the epoch at the time `origin`; runs with tokio's (paused) clock.
    Simulated {
        epoch_ms: u64,
        origin: Instant,
    },
}

impl Environment {
    /// The real world: system clock, random numbers from the operating system.
    ///
    /// `core` runs consensus, link, gateway and ops; `executors` runs user code.
    #[must_use]
    pub fn real(core: Handle, executors: Handle) -> Self {
        Self::assemble(Wall::System, SmallRng::from_os_rng(), core, executors, None)
    }

    /// The world of a test: the clock of the current tokio runtime (which may be paused) and random
    /// numbers from `seed`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn simulated(seed: u64) -> Self {
        Self::simulated_since(Instant::now(), seed)
    }

    /// As [`simulated`](Self::simulated), with a wall clock that began at `origin`: nodes of one simulation share it,
    /// also those that start later.
    fn simulated_since(origin: Instant, seed: u64) -> Self {
        let wall = Wall::Simulated { epoch_ms: 1_700_000_000_000, origin };
        let (random, runtime) = (SmallRng::seed_from_u64(seed), Handle::current());
        Self::assemble(wall, random, runtime.clone(), runtime, Some(Host::default()))
    }

    fn assemble(
        wall: Wall,
        mut random: SmallRng,
        core: Handle,
        executors: Handle,
        host: Option<Host>,
    ) -> Self {
        let hash_seed = random.next_u64();
        let origin = Instant::now();
        let (random, panicked) = (Mutex::new(random), watch::Sender::new(None));
        let inner = Inner { wall, random, hash_seed, origin, core, executors, host, panicked };
        Self { inner: Arc::new(inner), network: Arc::new(Tcp) }
    }

    /// The same world with another network.
    #[must_use]
    pub fn with_network(self, network: SharedNetwork) -> Self {
        Self { network, ..self }
    }

    /// The way to other nodes.
    #[must_use]
    pub fn network(&self) -> &SharedNetwork {
        &self.network
    }

    /// The monotonic clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Milliseconds since the Unix epoch. May step back when an operator sets the clock.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // This is the one place.
    pub fn wall_ms(&self) -> u64 {
        match self.inner.wall {
            Wall::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                since.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
            }
            Wall::Simulated { epoch_ms, origin } => {
                epoch_ms + u64::try_from(origin.elapsed().as_millis()).unwrap_or(u64::MAX)
            }
        }
    }

    /// A random number.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.inner.random.lock().next_u64()
    }

    /// A random number.
    #[must_use]
    pub fn random_u128(&self) -> u128 {
        let mut random = self.inner.random.lock();
        u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
    }

    /// A duration drawn evenly from `from..=to`; used for jitter.
    #[must_use]
    pub fn random_duration(&self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from);
        let share = self.random_u64() as f64 / u64::MAX as f64;
        from + span.mul_f64(share)
    }

    /// The hasher for maps whose keys are chosen by clients.
    #[must_use]
    pub fn hasher(&self) -> Hasher {
        Hasher::with_seed(self.inner.hash_seed)
    }

    /// The switch of the machine that this simulated node runs on.
    ///
    /// # Panics
    ///
    /// In the real world, which has none.
    #[must_use]
    pub fn host(&self) -> Host {
        self.inner.host.clone().expect("only a simulated node has a switch")
    }

    /// Starts a task beside consensus, link, gateway and ops.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(&self.inner.core, future)
    }

    /// Starts a task beside consensus, link, gateway and ops without which a node is not whole: whoever looks at
    /// [`panicked`](Self::panicked) hears when it panics. `name` says what it does.
    pub fn spawn_vital<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let vital = self.vital(name);
        self.spawn(async move {
            let _vital = vital;
            future.await
        })
    }

    /// For tasks that others start: as long as they hold it, they are [vital](Self::spawn_vital).
    pub(crate) fn vital(&self, name: &'static str) -> vital::Vital {
        vital::Vital::new(name, self.inner.panicked.clone())
    }

    /// Which [vital](Self::spawn_vital) task panicked first, once one has. That is a bug, and nobody does its work any more.
    #[must_use]
    pub fn panicked(&self) -> watch::Receiver<Option<&'static str>> {
        self.inner.panicked.subscribe()
    }

    /// Starts a task where user code may run.
    pub fn spawn_executor<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(&self.inner.executors, future)
    }

    fn spawn_on<F>(&self, runtime: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.inner.host {
            None => runtime.spawn(future),
            Some(host) => host.spawn(runtime, CURRENT.scope(self.clone(), future)),
        }
    }

    /// Runs `future` so that [`spawn_here`] and [`random_here`] in it belong to this environment. Tasks that were
    /// started through it need no such thing.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        match self.inner.host {
            None => Either::Left(future),
            Some(_) => Either::Right(CURRENT.scope(self.clone(), future)),
        }
    }

    /// Starts a named thread, for work that blocks.
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub fn thread(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(work)
    }
}

/// Starts a task in the environment of the current one, for libraries that cannot be given an environment.
#[allow(clippy::disallowed_methods)] // This is the one place.
pub fn spawn_here<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match CURRENT.try_with(Environment::clone) {
        Ok(environment) => environment.spawn(future),
        Err(_) => tokio::spawn(future),
    }
}

/// A random number from the environment of the current task, for libraries that cannot be given one.
#[must_use]
pub fn random_here() -> u64 {
    CURRENT.try_with(Environment::random_u64).unwrap_or_else(|_| SmallRng::from_os_rng().next_u64())
}

/// Real tasks of libraries have no environment; their process has one node.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How long to wait instead of `wait`, up to `step` more, to end at one of the moments that all tasks of this node share; for
/// libraries that cannot be given an environment. Hundreds of timers that end together wake a thread once.
#[must_use]
pub fn aligned_here(wait: Duration, step: Duration) -> Duration {
    // Nodes of one simulation begin together, and machines do not.
    let simulated = |environment: &Environment| {
        environment.inner.origin.elapsed() + Duration::from_millis(environment.inner.hash_seed % 1_000)
    };
    let now = CURRENT.try_with(simulated).unwrap_or_else(|_| BEGAN.elapsed());
    let over = (now + wait).as_nanos() % step.as_nanos().max(1);
    match u64::try_from(over) {
        Ok(over @ 1..) => wait + step.saturating_sub(Duration::from_nanos(over)),
        _ => wait,
    }
}

#[cfg(test)]
mod tests;
