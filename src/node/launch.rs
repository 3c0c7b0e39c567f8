//! A process that is a node: logs, runtimes, ports, signals.

mod address;
mod admin;
mod links;
mod ports;
mod service;
mod signals;

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use playhouse_cluster::{
    environment::{Environment, watch},
    peering::CookieFileError,
};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use super::{
    Builder, Node, Progress, RELEASE, Settings, StartError,
    application::Application,
    disk::{FUSE_AFTER, Fuse},
    meters::Meters,
};
use crate::{
    config::{Config, Engine, LogFormat, Profile},
    gateway::{self, TokenError, drain},
    telemetry::{self, LogLevels, Metrics},
};

/// How often token files are looked at.
const TOKENS_EVERY: Duration = Duration::from_secs(2);
/// Threads that run consensus, link, gateway and ops; and threads that run user code: at least this many each.
const THREADS_MIN: usize = 2;

/// How long a node may take to leave that lost its store: what waits for that is never answered. Less than the fuse waits.
const WITHOUT_STORE_MAX: Duration = Duration::from_secs(5);

/// Shares of the drain budget: they add up to less than all of it, so that none takes the time of the next.
const LEADERSHIPS_SHARE: f64 = 0.4;
const CLIENTS_SHARE: f64 = 0.3;
const STOP_SHARE: f64 = 0.25;

/// What a node process is told.
pub struct Launch {
    /// Its configuration.
    pub config: Config,
    /// Whether it is for one person's machine.
    pub profile: Profile,
    /// Its kinds.
    pub node: Builder,
    /// A file that gets the addresses, as JSON, once the node is ready.
    pub address_file: Option<PathBuf>,
    /// The end of standard input means to leave: whoever started the process holds the other end.
    pub leave_with_parent: bool,
}

/// The node did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The node itself did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A port is not free, or may not be used.
    #[error("could not listen on {address}, set by {key}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The configuration key.
        key: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// A file or a thread could not be made.
    #[error("could not {what}")]
    Io {
        /// What was to be done.
        what: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The cookie cannot be used.
    #[error("peer.cookie_file: {0}")]
    Cookie(#[from] CookieFileError),
    /// Traces cannot be exported.
    #[error("traces.endpoint: {0}")]
    Traces(String),
    /// The node could not go on. What was acknowledged is on the volume.
    #[error("the node stopped: {reason}; restart it, it recovers from what is on disk")]
    Fatal {
        /// Why.
        reason: String,
    },
    /// The engine loses what it acknowledged when power is lost, and there is no other replica. Nothing was started.
    #[error(
        "store.engine = sled does not survive a loss of power, and nothing is replicated that would: bootstrap.members \
         has one name or cluster.replication_factor is 1; use fjall"
    )]
    NotDurable,
    /// What the engine acknowledged is lost at every restart, while the volume says that it is not new.
    #[error(
        "store.engine = memory keeps nothing: a node that restarts would vote as if it had never acknowledged anything; use \
         fjall, or `playhouse dev --nodes 1` to try without a disk"
    )]
    NotKept,
    /// A second signal came while the node was draining. What was acknowledged is on the volume.
    #[error("stopped at once by a second signal; requests under way got no answer")]
    Impatient,
}

/// Runs a node until it is told to stop.
///
/// # Errors
///
/// [`LaunchError`]. Nothing on the volume was deleted.
pub fn launch(launch: Launch) -> Result<(), LaunchError> {
    install_logs(&launch.config);
    check_durable(&launch.config, launch.profile)?;
    for warning in launch.config.warnings() {
        tracing::warn!("{warning}");
    }
    let core = runtime("playhouse-core")?;
    let executors = runtime("playhouse-exec")?;
    let environment = Environment::real(core.handle().clone(), executors.handle().clone());
    let outcome = core.block_on(serve(launch, environment));
    // User code may run for ever; it must not keep the process.
    executors.shutdown_background();
    core.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// An engine that loses what it acknowledged needs other replicas, or a person who only tries it.
fn check_durable(config: &Config, profile: Profile) -> Result<(), LaunchError> {
    let is_serious = profile == Profile::Run;
    match config.store.engine {
        Engine::Memory if is_serious || !config.is_alone() => Err(LaunchError::NotKept),
        Engine::Sled if is_serious && !config.is_replicated() => Err(LaunchError::NotDurable),
        _ => Ok(()),
    }
}

fn install_logs(config: &Config) {
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let format = match (config.log.format, is_terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => telemetry::LogFormat::Json,
        (LogFormat::Human, _) | (LogFormat::Auto, true) => telemetry::LogFormat::Human,
    };
    // A group that was stopped in order logs an error there whenever somebody asks it; whoever asks is told, too.
    let stopped = "openraft::raft::raft_inner=off";
    let quiet = format!(
        "{},openraft=error,{stopped},fjall=warn,lsm_tree=warn,ractor=error,ractor_cluster=error",
        config.log.level.as_str()
    );
    let levels: LogLevels = quiet.parse().expect("the configuration checked the level");
    // A test or an embedding program may have installed its own.
    drop(telemetry::install(format, levels));
}

fn runtime(name: &str) -> Result<Runtime, LaunchError> {
    let threads = std::thread::available_parallelism().map_or(THREADS_MIN, usize::from).max(THREADS_MIN);
    let built =
        RuntimeBuilder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build();
    built.map_err(|source| LaunchError::Io { what: format!("start the threads {name}"), source })
}

async fn serve(launch: Launch, environment: Environment) -> Result<(), LaunchError> {
    let Launch { config, profile, node, address_file, leave_with_parent } = launch;
    let metrics = Metrics::new(RELEASE).with_process();
    let listeners = ports::Listeners::bind(&config).await?;
    let (publish, stage) = watch::channel(ports::Stage::Starting);
    let (ops_drain, ops_drained) = drain();
    let mut signals = signals::Signals::listen(leave_with_parent, &environment)?;
    let meters: Arc<OnceLock<Meters>> = Arc::default();
    let subject = admin::Subject::default();
    let context = ports::Context { config: &config, profile, metrics: &metrics, environment: &environment };
    let progress = Progress::default();
    let mut ops = context.ops_options(stage, progress.clone(), ops_drained, Arc::clone(&meters))?;
    ops.actions = admin::actions(&subject);
    let services = service::Services::new(&environment);
    let ops = services.start("ops", gateway::ops::serve(listeners.ops, ops, environment.clone()));

    let traces = context.traces()?;
    let mut settings = Settings { traces: traces.clone(), progress, ..Settings::of(&config) };
    settings.links = links::links(&settings, &environment)?;
    let start = start(&settings, node, &metrics, &environment);
    let (mut node, applications, _fuse) = tokio::select! {
        started = start => started?,
        () = signals.first() => return Ok(()),
    };
    let last = {
        let traces = traces.clone();
        async move {
            traces.flush().await;
            ops_drain.start();
            let _ = ops.await;
        }
    };
    let started = tokio::select! {
        started = node.start_applications(&applications) => Some(started),
        () = signals.first() => None,
    };
    if !matches!(started, Some(Ok(()))) {
        // It is a member by now, and may lead.
        publish.send_replace(ports::Stage::Draining);
        let budget = drain_budget(&config, &node);
        let left = finish(leave(node, std::future::ready(()), last, budget), budget, &mut signals).await;
        return started.map_or(Ok(()), |started| Ok(started?)).and(left);
    }
    drop(meters.set(node.meters()));
    subject.set(&node);
    let (gateway_drain, gateway_drained) = drain();
    let options = context.gateway_options(gateway_drained, traces.clone())?;
    let entities = Arc::new(node.router().clone());
    let gateway = gateway::serve(listeners.gateway.open()?, entities, options, environment.clone());
    let gateway = services.start("gateway", gateway);
    publish.send_replace(ports::Stage::Serving {
        store: node.store_health(),
        router: node.router().clone(),
        standing: node.standing(),
    });
    let addresses = address::Addresses { gateway: listeners.gateway_at, ops: listeners.ops_at };
    addresses.announce(&config, profile, address_file.as_deref())?;

    let mut fatal = node.fatal();
    let failed = tokio::select! {
        () = signals.first() => None,
        reason = reason(&mut fatal) => Some(reason),
        reason = services.ended() => Some(reason),
    };
    publish.send_replace(ports::Stage::Draining);
    let (has_store, budget) = (!node.has_lost_store(), drain_budget(&config, &node));
    let clients = async {
        gateway_drain.start();
        if has_store {
            let _ = gateway.await;
        } else {
            drop(tokio::time::timeout(budget.mul_f64(CLIENTS_SHARE), gateway).await);
        }
    };
    finish(leave(node, clients, last, budget), budget, &mut signals).await?;
    failed.map_or(Ok(()), |reason| Err(LaunchError::Fatal { reason }))
}

/// Starts the node, with a fuse from the first call into its store on: it may wait for others for long.
async fn start(
    settings: &Settings,
    node: Builder,
    metrics: &Metrics,
    environment: &Environment,
) -> Result<(Node, Vec<Application>, Fuse), LaunchError> {
    let (identity, store) = Node::open(settings, environment).await?;
    let after = settings.hangs_after.longer(FUSE_AFTER);
    let fuse = Fuse::light(store.probe(), after, environment, || std::process::exit(1));
    let fuse = fuse
        .map_err(|source| LaunchError::Io { what: "start the thread playhouse-fuse".to_owned(), source })?;
    let (metrics, environment) = (metrics.clone(), environment.clone());
    let (kinds, applications) = node.split();
    let node = Node::start_with(identity, store, settings, kinds, metrics, environment).await?;
    Ok((node, applications, fuse))
}

fn drain_budget(config: &Config, node: &Node) -> Duration {
    let budget = config.drain.budget;
    let budget = if node.has_lost_store() { budget.min(WITHOUT_STORE_MAX) } else { budget };
    tracing::info!(budget_s = budget.as_secs(), "draining");
    budget
}

/// Everything in order: first the leaderships, and programs of processes, while clients are still served; then the `clients`, the node,
/// and what is `last`.
async fn leave(
    node: Node,
    clients: impl Future<Output = ()>,
    last: impl Future<Output = ()>,
    budget: Duration,
) {
    let first = budget.mul_f64(LEADERSHIPS_SHARE);
    tokio::join!(node.stop_applications(first), node.hand_over(first));
    clients.await;
    node.stop(budget.mul_f64(STOP_SHARE)).await;
    last.await;
}

/// Waits for the drain: at most the budget, or until a second signal.
async fn finish(
    leave: impl Future<Output = ()>,
    budget: Duration,
    signals: &mut signals::Signals,
) -> Result<(), LaunchError> {
    tokio::select! {
        () = leave => tracing::info!("stopped"),
        () = tokio::time::sleep(budget) => tracing::warn!("the drain budget is over; leaving"),
        () = signals.second() => return Err(LaunchError::Impatient),
    }
    Ok(())
}

async fn reason(fatal: &mut watch::Receiver<Option<String>>) -> String {
    match fatal.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, resolve};

    #[test]
    fn an_engine_that_loses_power_needs_replicas() {
        let cluster = [
            ("bootstrap.members", "a,b,c"),
            ("bootstrap.initiator", "a"),
            ("peer.cookie_file", "/etc/cookie"),
        ];
        let is_refused = |flags: &[(&str, &str)], profile| {
            let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let config = resolve(&Sources::default().with_flags(flags)).unwrap().config;
            check_durable(&config, profile).is_err()
        };
        let sled = ("store.engine", "sled");
        let one = ("cluster.replication_factor", "1");
        let [members, initiator, cookie] = cluster;
        assert!(is_refused(&[sled], Profile::Run));
        assert!(!is_refused(&[sled], Profile::Dev));
        assert!(!is_refused(&[], Profile::Run));
        assert!(!is_refused(&[sled, members, initiator, cookie], Profile::Run));
        assert!(is_refused(&[sled, members, initiator, cookie, one], Profile::Run));
        let memory = ("store.engine", "memory");
        assert!(is_refused(&[memory], Profile::Run));
        assert!(!is_refused(&[memory], Profile::Dev));
        assert!(
            is_refused(&[memory, members, initiator, cookie], Profile::Dev),
            "its peers would believe its votes"
        );
    }
}
