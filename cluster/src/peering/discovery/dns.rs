//! Asks name servers for ever.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::environment::watch;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Discovery, Resolve, ResolveError};
use crate::environment::Environment;

/// What to ask for, and how often.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// The name that stands for all nodes. Its SRV records below `_peer._tcp.` tell hosts and ports; without any, its
    /// addresses count, with [`port`](Self::port).
    pub name: String,
    /// The port of nodes that have no SRV record.
    pub port: u16,
    /// Addresses that are always among the result, as `host:port`.
    pub seeds: BTreeSet<String>,
    /// How often to ask, give or take a fifth. Answers are not asked for again before it, however short they are valid.
    pub interval: Duration,
    /// How long to wait after a first failure; it doubles with each further one, up to `retry_max`.
    pub retry_min: Duration,
    /// How long to wait at most after failures.
    pub retry_max: Duration,
    /// How long one lookup may take.
    pub lookup_timeout: Duration,
    /// How many addresses count; the others of an answer are left out, and that is logged.
    pub addresses_max: usize,
}

impl DnsConfig {
    /// Asks for `name` every 5 seconds.
    #[must_use]
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
            seeds: BTreeSet::new(),
            interval: Duration::from_secs(5),
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            lookup_timeout: Duration::from_secs(10),
            addresses_max: 1024,
        }
    }
}

/// Knows what name servers told last. Ends when it is dropped.
#[derive(Debug)]
pub struct Dns {
    addresses: watch::Receiver<BTreeSet<String>>,
    failures: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Dns {
    /// Below which label of the name its SRV records stand.
    pub const SERVICE: &str = "_peer._tcp";

    /// Begins to ask. Until the first answer only the seeds are known.
    #[must_use]
    pub fn start(config: DnsConfig, resolve: Arc<dyn Resolve>, environment: &Environment) -> Self {
        let known = watch::Sender::new(config.seeds.clone());
        let addresses = known.subscribe();
        let failures = Arc::new(AtomicU64::new(0));
        let search = Search {
            config,
            resolve,
            environment: environment.clone(),
            known,
            has_services: false,
            problem: None,
            failures_in_a_row: 0,
            failures: failures.clone(),
        };
        Self { addresses, failures, task: environment.spawn(search.run()) }
    }

    /// How many lookups failed or found nothing since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }
}

impl Discovery for Dns {
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>> {
        self.addresses.clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a lookup told nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Nothing,
    Failed(ResolveError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("the name has no records"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

struct Search {
    config: DnsConfig,
    resolve: Arc<dyn Resolve>,
    environment: Environment,
    known: watch::Sender<BTreeSet<String>>,
    /// The name had SRV records; a lookup of them that fails must not bring its plain addresses back.
    has_services: bool,
    /// What was logged last.
    problem: Option<Problem>,
    failures_in_a_row: u32,
    failures: Arc<AtomicU64>,
}

impl Search {
    async fn run(mut self) {
        loop {
            let pause = match self.look_up().await {
                Ok(addresses) => self.found(addresses),
                Err(problem) => self.found_nothing(problem),
            };
            sleep(pause).await;
        }
    }

    /// Asks both questions at once: a server that swallows one of them must not delay the other.
    async fn look_up(&mut self) -> Result<BTreeSet<String>, Problem> {
        let (name, limit) = (&self.config.name, self.config.lookup_timeout);
        let service = format!("{}.{name}", Dns::SERVICE);
        let services = limited(limit, &service, self.resolve.services(&service));
        let addresses = limited(limit, name, self.resolve.addresses(name));
        let (services, addresses) = futures_util::future::join(services, addresses).await;
        match services {
            Ok(targets) if !targets.is_empty() => {
                self.has_services = true;
                Ok(targets.into_iter().map(|target| format!("{}:{}", target.host, target.port)).collect())
            }
            Err(error) if self.has_services => Err(Problem::Failed(error)),
            _ => {
                let port = self.config.port;
                let addresses = addresses.map_err(Problem::Failed)?.into_iter();
                let addresses: BTreeSet<_> =
                    addresses.map(|ip| SocketAddr::new(ip, port).to_string()).collect();
                if addresses.is_empty() { Err(Problem::Nothing) } else { Ok(addresses) }
            }
        }
    }

    /// Publishes; the pause until the next lookup.
    fn found(&mut self, mut addresses: BTreeSet<String>) -> Duration {
        let name = &self.config.name;
        if self.problem.take().is_some() {
            tracing::info!(%name, "discovery has an answer again");
        }
        self.failures_in_a_row = 0;
        let found = addresses.len();
        if let Some(last) = addresses.iter().nth(self.config.addresses_max).cloned() {
            addresses.split_off(&last);
        }
        let used = addresses.len();
        addresses.extend(self.config.seeds.iter().cloned());
        let changed = self.known.send_if_modified(|known| {
            let changed = *known != addresses;
            *known = addresses;
            changed
        });
        if changed {
            tracing::info!(%name, found, used, "discovery has other addresses");
        }
        let interval = self.config.interval;
        self.environment.random_duration(interval.mul_f64(0.8), interval.mul_f64(1.2))
    }

    /// Keeps what is known; the pause until the next lookup.
    fn found_nothing(&mut self, problem: Problem) -> Duration {
        self.failures.fetch_add(1, Relaxed);
        if self.problem.as_ref() != Some(&problem) {
            let (name, known) = (&self.config.name, self.known.borrow().len());
            tracing::warn!(%name, %problem, known, "discovery found nothing and keeps the addresses it knows");
            self.problem = Some(problem);
        }
        let doubled = 1u32.checked_shl(self.failures_in_a_row).unwrap_or(u32::MAX);
        let pause = self.config.retry_min.saturating_mul(doubled).min(self.config.retry_max);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.environment.random_duration(pause / 2, pause)
    }
}

async fn limited<T>(
    limit: Duration,
    name: &str,
    lookup: impl Future<Output = Result<T, ResolveError>>,
) -> Result<T, ResolveError> {
    let late = || ResolveError { name: name.to_owned(), reason: format!("nothing came within {limit:?}") };
    timeout(limit, lookup).await.unwrap_or_else(|_| Err(late()))
}
