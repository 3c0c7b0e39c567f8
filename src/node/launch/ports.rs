//! What the two ports are given.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use playhouse_cluster::{
    environment::{Environment, watch},
    store::Health,
};
use tokio::net::{TcpListener, TcpSocket};

use super::{LaunchError, TOKENS_EVERY};
use crate::{
    config::{Config, Profile},
    gateway::{
        DrainSignal, Options, Tokens,
        ops::{AdminAccess, Check, OpsOptions, Pulse, Runtime, check},
    },
    node::{Progress, RELEASE, Standing, Unfit, meters::Meters},
    router::Router,
    telemetry::{
        Metrics,
        traces::{TraceOptions, Traces},
    },
};

/// How far the node is.
#[derive(Clone)]
pub(super) enum Stage {
    /// It opens its volume and elects leaders.
    Starting,
    /// It takes requests.
    Serving { store: watch::Receiver<Health>, router: Router, standing: Standing },
    /// It finishes.
    Draining,
}

/// The sockets of both ports.
pub(super) struct Listeners {
    pub(super) gateway: Reserved,
    pub(super) gateway_at: SocketAddr,
    pub(super) ops: TcpListener,
    pub(super) ops_at: SocketAddr,
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> Result<Self, LaunchError> {
        let gateway = Reserved::bind(config.gateway.listen, "gateway.listen")?;
        let gateway_at = gateway.socket.local_addr().map_err(|source| gateway.failed(source))?;
        let ops = Reserved::bind(config.ops.listen, "ops.listen")?.open()?;
        let ops_at = ops.local_addr().map_err(|source| LaunchError::Listen {
            address: config.ops.listen,
            key: "ops.listen",
            source,
        })?;
        Ok(Self { gateway, gateway_at, ops, ops_at })
    }
}

/// How many connections may wait to be accepted.
const BACKLOG_MAX: u32 = 1024;

/// A port that nobody else gets any more, and that is not open yet: whoever connects is refused at once and asks another
/// node, instead of waiting until this one has started.
pub(super) struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
    key: &'static str,
}

impl Reserved {
    fn bind(address: SocketAddr, key: &'static str) -> Result<Self, LaunchError> {
        let failed = |source| LaunchError::Listen { address, key, source };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(failed)?;
        // Connections of an earlier process may linger. A port that the system chooses has none; and two that may be used again
        // can be chosen alike, until one of them listens.
        socket.set_reuseaddr(address.port() != 0).map_err(failed)?;
        socket.bind(address).map_err(failed)?;
        Ok(Self { socket, address, key })
    }

    /// From now on clients are let in.
    pub(super) fn open(self) -> Result<TcpListener, LaunchError> {
        let Self { socket, address, key } = self;
        socket.listen(BACKLOG_MAX).map_err(|source| LaunchError::Listen { address, key, source })
    }

    fn failed(&self, source: std::io::Error) -> LaunchError {
        LaunchError::Listen { address: self.address, key: self.key, source }
    }
}

/// What both ports share.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) profile: Profile,
    pub(super) metrics: &'a Metrics,
    pub(super) environment: &'a Environment,
}

impl Context<'_> {
    pub(super) fn gateway_options(&self, drain: DrainSignal, traces: Traces) -> Result<Options, LaunchError> {
        let (gateway, node) = (&self.config.gateway, self.config.node.name.clone());
        let mut options = Options::new(node, drain, self.metrics.clone());
        options.server.connections_max = gateway.connections_max;
        options.server.head_timeout = gateway.head_timeout;
        options.server.idle_timeout = gateway.idle_timeout;
        options.server.write_timeout = gateway.write_timeout;
        options.server.drain_timeout = self.config.drain.budget.mul_f64(super::CLIENTS_SHARE);
        options.requests.body_bytes_max = size(gateway.body_bytes_max.0);
        options.requests.bodies_bytes_max = size(gateway.bodies_bytes_max.0);
        options.requests.body_timeout = gateway.body_timeout;
        options.requests.timeout_default = gateway.request_timeout_default;
        options.requests.timeout_max = gateway.request_timeout_max;
        options.tokens = self.tokens(gateway.token_file.as_deref())?;
        options.traces = traces;
        Ok(options)
    }

    pub(super) fn ops_options(
        &self,
        stage: watch::Receiver<Stage>,
        progress: Progress,
        drain: DrainSignal,
        meters: Arc<OnceLock<Meters>>,
    ) -> Result<OpsOptions, LaunchError> {
        let ops = &self.config.ops;
        let mut options =
            OpsOptions::new(self.config.node.name.clone(), RELEASE, drain, self.metrics.clone());
        options.pulses = [Runtime::Core, Runtime::Executors]
            .map(|runtime| Pulse::start(runtime, ops.silence_max, self.environment))
            .into();
        options.startup = vec![started(stage.clone(), progress.clone())];
        options.ready = vec![serving(stage.clone(), progress), store(stage.clone())];
        options.ready.extend(if self.config.is_alone() {
            vec![leaders(stage)]
        } else {
            // Shards without a leader are not its fault, and taking it out of service brings none back.
            vec![
                standing("member", stage.clone(), Standing::check_member),
                standing("majority", stage, Standing::check_quorum),
            ]
        });
        options.check_timeout = ops.check_timeout;
        options.access = AdminAccess {
            tokens: self.tokens(ops.admin_token_file.as_deref())?,
            loopback: self.profile == Profile::Dev,
        };
        options.before_scrape = Arc::new(move || {
            let meters = meters.get().cloned();
            Box::pin(async move {
                if let Some(meters) = meters {
                    meters.read().await;
                }
            })
        });
        Ok(options)
    }

    fn tokens(&self, file: Option<&std::path::Path>) -> Result<Option<Tokens>, LaunchError> {
        let Some(file) = file else { return Ok(None) };
        let tokens = Tokens::load(file)?;
        self.environment.spawn(tokens.clone().watch(TOKENS_EVERY, self.metrics.clone()));
        Ok(Some(tokens))
    }

    /// Where spans go.
    pub(super) fn traces(&self) -> Result<Traces, LaunchError> {
        let Some(endpoint) = &self.config.traces.endpoint else { return Ok(Traces::off()) };
        let options = TraceOptions {
            endpoint: endpoint.clone(),
            sample: self.config.traces.sample.get(),
            node: self.config.node.name.clone(),
            release: RELEASE.to_owned(),
            timeout: Duration::from_secs(10),
        };
        Traces::export(&options, self.metrics.clone(), self.environment)
            .map_err(|error| LaunchError::Traces(error.to_string()))
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The store is open and every shard had a leader once; in a cluster: it has taken the node in.
fn started(stage: watch::Receiver<Stage>, progress: Progress) -> Arc<dyn Check> {
    check("started", move || {
        let (stage, progress) = (stage.borrow().clone(), progress.clone());
        async move {
            match stage {
                Stage::Starting => Err(starting(&progress)),
                Stage::Serving { .. } | Stage::Draining => Ok(()),
            }
        }
    })
}

fn starting(progress: &Progress) -> String {
    format!("the node is starting, and waits for {}", progress.now())
}

fn serving(stage: watch::Receiver<Stage>, progress: Progress) -> Arc<dyn Check> {
    check("serving", move || {
        let (stage, progress) = (stage.borrow().clone(), progress.clone());
        async move {
            match stage {
                Stage::Starting => Err(starting(&progress)),
                Stage::Draining => Err("the node is draining".to_owned()),
                Stage::Serving { .. } => Ok(()),
            }
        }
    })
}

fn store(stage: watch::Receiver<Stage>) -> Arc<dyn Check> {
    check("store", move || {
        let stage = stage.borrow().clone();
        async move {
            let Stage::Serving { store, .. } = stage else { return Err("the store is not open".to_owned()) };
            let health = store.borrow().clone();
            match health {
                Health::Healthy => Ok(()),
                Health::Full { free_bytes, needed_bytes } => Err(format!(
                    "the volume is full: {free_bytes} bytes free, {needed_bytes} must stay free; writes wait"
                )),
                Health::Failed(error) => Err(error.to_string()),
            }
        }
    })
}

fn leaders(stage: watch::Receiver<Stage>) -> Arc<dyn Check> {
    check("leaders", move || {
        let stage = stage.borrow().clone();
        async move {
            let Stage::Serving { router, .. } = stage else { return Err("no shard is led".to_owned()) };
            let (led, shards) = (router.led_shards(), usize::from(router.shards().get()));
            if led == shards { Ok(()) } else { Err(format!("{led} of {shards} shards have a leader")) }
        }
    })
}

fn standing(
    name: &str,
    stage: watch::Receiver<Stage>,
    look: fn(&Standing) -> Result<(), Unfit>,
) -> Arc<dyn Check> {
    check(name, move || {
        let stage = stage.borrow().clone();
        async move {
            match stage {
                Stage::Serving { standing, .. } => look(&standing).map_err(|unfit| unfit.to_string()),
                Stage::Starting => Err(Unfit::NotMember.to_string()),
                Stage::Draining => Err("this node stops".to_owned()),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_probes_of_a_node_that_starts_say_what_it_waits_for() {
        let (publish, stage) = watch::channel(Stage::Starting);
        let progress = Progress::default();
        let probes = [started(stage.clone(), progress.clone()), serving(stage, progress)];
        for probe in &probes {
            let starting = Err("the node is starting, and waits for its volume to be opened".to_owned());
            assert_eq!(probe.run().await, starting);
        }
        publish.send_replace(Stage::Draining);
        assert_eq!(probes[0].run().await, Ok(()));
        assert_eq!(probes[1].run().await, Err("the node is draining".to_owned()));
    }
}
