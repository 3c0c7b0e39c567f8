//! Does on this machine what a cluster would do with [`Objects`]: each pod is a process, in a network of its own, with the files,
//! the variables and the user that the manifests give it. It takes root, Linux, iproute2, nftables and util-linux.
//!
//! What it does not do: no process is the first one of a name space of processes (a program that does not handle SIGTERM yet ends by
//! it), there is no seccomp profile, no limit of memory, no size of a volume; the name server keeps nothing and knows nobody
//! outside; news of endpoints and Secrets arrive at once, where a cluster takes seconds up to a minute.
//!
//! Comes in: an [`Image`], manifests, Secrets, and what a test does to pods. Leaves: pods that run, are asked how they are, are
//! started again and exchanged, as StatefulSet controller and kubelet would do it. All of it is gone when the [`Executor`]
//! is dropped; what a killed test left behind goes with the next one.

mod control;
mod name_server;
mod network;
mod outsider;
mod pod;
mod probes;
mod root;
mod run;
mod space;
mod status;
mod volumes;

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    path::PathBuf,
    process::Output,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

use self::{
    network::Network,
    outsider::Guest,
    pod::Pod,
    space::{PREFIX, left_behind},
};
pub use self::{outsider::Outsider, run::RunError, space::Inside, status::PodStatus};
use super::{
    change::{self, ChangeError},
    objects::{Objects, Secret, stateful_set::REPLICAS_MAX},
    policy::{Access, filter},
};

/// How often somebody who waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long tasks may take to end with their executor.
const END_MAX: Duration = Duration::from_secs(5);

/// How many executors this process has made.
static EXECUTORS: AtomicU32 = AtomicU32::new(0);

/// What an image is: a program, and how it is started.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where the program is on this machine.
    pub program: PathBuf,
    /// Where it is in the image.
    pub path: PathBuf,
    /// `ENTRYPOINT`.
    pub entry_point: Vec<String>,
    /// `CMD`.
    pub arguments: Vec<String>,
    /// `USER`; the group has the same number.
    pub user: u32,
}

/// Why there is no executor here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Name spaces and mounts are root's.
    #[error("only root may make name spaces and mounts")]
    NotRoot,
    /// A program is missing, or the kernel does not do it.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Something else.
    #[error("the machine could not be prepared")]
    System(#[from] io::Error),
}

/// A pod that is not there, or does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pod {name} that runs")]
pub struct NotRunning {
    /// Which was meant.
    pub name: String,
}

/// Why the number of pods is what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// There is none of that name. Apply it first.
    #[error("there is no StatefulSet {name}")]
    NoSet {
        /// Which was meant.
        name: String,
    },
    /// More than one machine runs.
    #[error("{replicas} replicas: at most {REPLICAS_MAX} are run")]
    TooMany {
        /// How many were wanted.
        replicas: u32,
    },
}

/// Why a pod is not evicted. It runs on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvictError {
    /// There is none.
    #[error(transparent)]
    NotRunning(#[from] NotRunning),
    /// Too many would be missing. Try again when more are ready.
    #[error("the disruption budget {budget} does not allow it while {healthy} are ready")]
    Budget {
        /// Which budget.
        budget: String,
        /// How many of its pods are ready.
        healthy: usize,
    },
}

/// A cluster on this machine.
#[derive(Debug)]
pub struct Executor {
    shared: Arc<Shared>,
    /// Dropped by hand: its threads must not hold name spaces that go.
    runtime: Option<Runtime>,
}

/// What everybody who works on it knows.
#[derive(Debug)]
struct Shared {
    image: Image,
    folder: PathBuf,
    network: Network,
    objects: Mutex<Objects>,
    /// Templates by revision: what older pods are made from.
    revisions: Mutex<control::Revisions>,
    services: Mutex<BTreeMap<String, Ipv4Addr>>,
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
    guests: Mutex<Vec<Arc<Guest>>>,
    /// What the control loop could not do.
    trouble: Mutex<Option<String>>,
}

impl Executor {
    /// An empty cluster.
    ///
    /// # Errors
    ///
    /// Why this machine cannot be one.
    pub fn new(image: Image) -> Result<Self, Unavailable> {
        if !rustix::process::geteuid().is_root() {
            return Err(Unavailable::NotRoot);
        }
        sweep();
        let network = Network::new()?;
        let runtime = network.machine.runtime()?;
        let folder = folder_name(std::process::id(), EXECUTORS.fetch_add(1, Ordering::Relaxed));
        for below in ["root", "claims", "pods", "logs"] {
            fs::create_dir_all(folder.join(below))?;
        }
        let shared = Arc::new(Shared {
            image,
            folder,
            network,
            objects: Mutex::default(),
            revisions: Mutex::default(),
            services: Mutex::default(),
            pods: Mutex::default(),
            guests: Mutex::default(),
            trouble: Mutex::default(),
        });
        let executor = Self { shared: Arc::clone(&shared), runtime: Some(runtime) };
        let first = executor.outsider("kube-system", &[("k8s-app", "kube-dns")])?;
        // A policy that cannot be put into force must fail here, not in a test.
        drop(first);
        executor.runtime.as_ref().expect("it was just made").spawn(control::run(shared));
        Ok(executor)
    }

    /// Makes a Secret, or replaces it, as an operator does.
    pub fn create_secret(&self, name: &str, data: Secret) {
        lock(&self.shared.objects).secrets.insert(name.to_owned(), data);
    }

    /// Applies manifests: what is in them counts from now on. Secrets stay; what is no longer there goes.
    ///
    /// # Errors
    ///
    /// When a cluster would refuse the change.
    pub fn apply(&self, objects: Objects) -> Result<(), ChangeError> {
        let mut now = lock(&self.shared.objects);
        if !now.namespace.is_empty() {
            change::check(&now, &objects)?;
        }
        let secrets = std::mem::take(&mut now.secrets);
        *now = Objects { secrets, ..objects };
        self.shared.give_addresses(&now);
        Ok(())
    }

    /// Changes the number of pods, as `kubectl scale` does.
    ///
    /// # Errors
    ///
    /// When there is no such set, or it would be too large.
    pub fn scale(&self, set: &str, replicas: u32) -> Result<(), ScaleError> {
        if replicas > REPLICAS_MAX {
            return Err(ScaleError::TooMany { replicas });
        }
        let mut objects = lock(&self.shared.objects);
        let none = || ScaleError::NoSet { name: set.to_owned() };
        objects.stateful_sets.get_mut(set).ok_or_else(none)?.spec.replicas = replicas;
        Ok(())
    }

    /// Evicts a pod, as a machine that is to be emptied does: it is deleted if the disruption budgets allow that.
    ///
    /// # Errors
    ///
    /// When there is no such pod, or a budget refuses. Nothing is done then.
    pub fn evict(&self, name: &str) -> Result<(), EvictError> {
        let pod = self.pod(name)?;
        let objects = self.shared.objects();
        let pods = lock(&self.shared.pods);
        for (budget, disruption) in &objects.disruption_budgets {
            let spec = &disruption.spec;
            if !spec.selector.matches(&pod.identity.labels) {
                continue;
            }
            let meant = pods.values().filter(|pod| spec.selector.matches(&pod.identity.labels));
            let healthy = meant.filter(|pod| pod.is_ready()).count();
            let sets = objects.stateful_sets.values();
            let sets = sets.filter(|set| spec.selector.matches(&set.spec.template.metadata.labels));
            let wanted = sets.map(|set| set.spec.replicas as usize).sum();
            if !spec.allows(wanted, healthy, pod.is_ready()) {
                return Err(EvictError::Budget { budget: budget.clone(), healthy });
            }
        }
        pod.delete();
        Ok(())
    }

    /// Deletes a pod: it ends in order, and another one takes its name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn delete(&self, pod: &str) -> Result<(), NotRunning> {
        self.pod(pod).map(|pod| pod.delete())
    }

    /// Kills the container of a pod, as a machine without memory does; the pod stays.
    ///
    /// # Errors
    ///
    /// When none runs.
    pub fn kill(&self, pod: &str) -> Result<(), NotRunning> {
        self.signal(pod, Signal::KILL)
    }

    /// From now on the container of a pod makes no step.
    ///
    /// # Errors
    ///
    /// When none runs.
    pub fn freeze(&self, pod: &str) -> Result<(), NotRunning> {
        self.signal(pod, Signal::STOP)
    }

    /// It goes on.
    ///
    /// # Errors
    ///
    /// When none runs.
    pub fn thaw(&self, pod: &str) -> Result<(), NotRunning> {
        self.signal(pod, Signal::CONT)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<(), NotRunning> {
        let is_sent = self.pod(name)?.signal(signal);
        if is_sent { Ok(()) } else { Err(NotRunning { name: name.to_owned() }) }
    }

    fn pod(&self, name: &str) -> Result<Arc<Pod>, NotRunning> {
        lock(&self.shared.pods).get(name).cloned().ok_or_else(|| NotRunning { name: name.to_owned() })
    }

    /// Runs a program in a pod, as `kubectl exec` does.
    ///
    /// # Errors
    ///
    /// When the pod does not run, or the program could not be started.
    pub async fn exec(&self, pod: &str, command: &[&str]) -> io::Result<Output> {
        let none = || io::Error::other(NotRunning { name: pod.to_owned() });
        let running = self.pod(pod).map_err(io::Error::other)?.state().running.clone().ok_or_else(none)?;
        let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        running.command(&command).output().await
    }

    /// How all pods are, by name.
    #[must_use]
    pub fn pods(&self) -> Vec<PodStatus> {
        let pods = lock(&self.shared.pods);
        pods.values().map(|pod| PodStatus::of(pod)).collect()
    }

    /// Where a Service is.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Ipv4Addr> {
        lock(&self.shared.services).get(name).copied()
    }

    /// Somebody else in the cluster: a client, a scraper, a stranger.
    ///
    /// # Errors
    ///
    /// Why this machine does not have it.
    pub fn outsider(&self, namespace: &str, labels: &[(&str, &str)]) -> Result<Outsider, Unavailable> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let place = self.shared.network.place()?;
        let runtime = place.space.runtime()?;
        // The control loop gives it the real ones.
        place.filter(&filter(network::MACHINE, &Access::Open, &Access::Open, &[]))?;
        let guest = Arc::new(Guest::new(place, namespace.to_owned(), labels));
        lock(&self.shared.guests).push(Arc::clone(&guest));
        Ok(Outsider::new(guest, runtime))
    }

    /// Everything that a pod wrote, all its containers together.
    #[must_use]
    pub fn log(&self, pod: &str) -> String {
        fs::read_to_string(self.shared.log_file(pod)).unwrap_or_default()
    }

    /// Whether everything is as the manifests want it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_well = lock(&self.shared.trouble).is_none();
        is_well && control::is_settled(&self.shared.objects(), &lock(&self.shared.pods))
    }

    /// Returns when everything is as the manifests want it, and how long that took.
    ///
    /// # Errors
    ///
    /// How the pods are, when it took longer than `limit`.
    pub async fn until_settled(&self, limit: Duration) -> Result<Duration, String> {
        self.until(limit, || self.is_settled()).await
    }

    /// Returns when `is_so`, and how long that took.
    ///
    /// # Errors
    ///
    /// How the pods are, when it took longer than `limit`.
    pub async fn until(&self, limit: Duration, mut is_so: impl FnMut() -> bool) -> Result<Duration, String> {
        let begin = Instant::now();
        while !is_so() {
            if begin.elapsed() > limit {
                return Err(format!("waited longer than {limit:?}:\n{}", self.report()));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(begin.elapsed())
    }

    /// How everything is, for people: what pods wait for, what their probes answered, and what they wrote last.
    #[must_use]
    pub fn report(&self) -> String {
        let trouble =
            lock(&self.shared.trouble).clone().map(|trouble| format!("the executor itself: {trouble}\n"));
        let pods = self.pods();
        let each = pods.iter().map(|pod| pod.report(&self.log(&pod.name)));
        trouble.into_iter().chain(each).collect()
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        lock(&self.objects)
    }

    fn services(&self) -> BTreeMap<String, Ipv4Addr> {
        lock(&self.services).clone()
    }

    /// Every Service that is not headless has an address, which it keeps.
    fn give_addresses(&self, objects: &Objects) {
        let mut given = lock(&self.services);
        given.retain(|name, _| objects.services.contains_key(name));
        for (name, _) in objects.services.iter().filter(|(_, service)| !service.is_headless()) {
            let used: Vec<_> = given.values().copied().collect();
            let free = (0..).map(Network::service).find(|address| !used.contains(address));
            if let Some(free) = free {
                given.entry(name.clone()).or_insert(free);
            }
        }
    }

    fn root_folder(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn log_file(&self, pod: &str) -> PathBuf {
        self.folder.join("logs").join(pod)
    }
}

/// Ends all processes, then removes all that there was.
impl Drop for Executor {
    fn drop(&mut self) {
        for pod in lock(&self.shared.pods).values() {
            pod.signal(Signal::KILL);
        }
        // Children are killed when their tasks are dropped, and they are when the threads have ended.
        self.runtime.take().into_iter().for_each(|runtime| runtime.shutdown_timeout(END_MAX));
        lock(&self.shared.pods).clear();
        lock(&self.shared.guests).clear();
        drop(fs::remove_dir_all(&self.shared.folder));
    }
}

fn folder_name(process: u32, serial: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{PREFIX}{process}-{serial}"))
}

/// Removes what tests left behind that were killed.
fn sweep() {
    space::sweep();
    let folder = std::env::temp_dir();
    left_behind(&folder).for_each(|name| drop(fs::remove_dir_all(folder.join(name))));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
