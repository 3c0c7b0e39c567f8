//! The only place that assembles, spawns and drains.
//!
//! Comes in: settings, kinds, an environment. Leaves: a running [`Node`] with its [`Router`].

mod application;
mod builder;
mod cluster;
mod copies;
mod disk;
mod error;
mod launch;
mod leaving;
mod meters;
mod offline;
mod operator;
mod progress;
#[cfg(test)]
mod replicas;
mod report;
mod settings;
mod standing;
mod stop;
mod supervise;
#[cfg(test)]
mod traced;
mod wiring;

use std::{path::Path, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::{Group, Isolated, Transport},
    environment::{Environment, watch},
    identity::{Identity, Wanted},
    membership::Which,
    peering::{ConsensusTransport, Local, Service, ServiceId, processes::Processes},
    store::{self, EngineKind, Health, Probe, Store, StoreError},
};
use tokio::{sync::Semaphore, task::JoinHandle};

pub use application::{ApplicationError, Handle};
pub use builder::Builder;
pub use copies::{CopyError, CopyHead, CopyId, CopyIdError};
pub use error::StartError;
pub use launch::{Launch, LaunchError, launch};
pub use meters::Meters;
pub use offline::{
    AuditEntry, AuditError, LossReport, LossWanted, RecoverError, RecoveredGroup, RestoreError, Restored,
    recover, restore,
};
pub use operator::{NodeProcesses, Operator, OperatorError, Overview, Seen};
pub use progress::Progress;
pub use report::{FollowerReport, NodeReport, ShardReport};
pub use settings::{Bootstrap, HangsAfter, Links, Peers, Place, Settings};
pub use standing::{Standing, Unfit};

use self::cluster::{
    condition,
    control::{self, Control},
    council::Council,
    joining::Joining,
    mover::{Mover, MoverServices},
    reaching::Reaching,
    shards::{Groups, Parts, Shards},
    steward::Steward,
};
use self::{
    application::{Application, Applications, Given},
    stop::Stop,
    wiring::{Way, open_peering, open_router, placement_config, reporter, tell_panicked, tell_stopped},
};
use crate::{
    entity::{Entity, KindRegistry},
    process::{ClusterNames, Distribution, Observer},
    protocol::Key,
    router::{EntityRef, Router},
    shard::{ResidentBudget, ShardServices, ShardStatistics},
    telemetry::Metrics,
};

/// The release of this node.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// A running node: its store, its Raft groups, its router, its links.
pub struct Node {
    environment: Environment,
    identity: Arc<Identity>,
    store: Store,
    router: Router,
    metrics: Metrics,
    council: Council,
    operator: Operator,
    groups: Groups,
    processes: Option<Processes>,
    distribution: Option<Distribution>,
    cluster_names: Option<ClusterNames>,
    applications: Applications,
    _given: Given,
    tasks: Vec<JoinHandle<()>>,
    statistics: Vec<watch::Receiver<ShardStatistics>>,
    draining: watch::Sender<bool>,
    has_reached: watch::Receiver<bool>,
    stop: Stop,
    fatal: watch::Receiver<Option<String>>,
    over: Over,
}

/// Ends what would hold itself for ever, however the node ends: also when it is dropped without [`Node::stop`].
struct Over {
    groups: Groups,
    control: Control,
    copies: copies::Desk,
}

impl Over {
    /// What answers peers.
    fn services(&self) -> [(ServiceId, Arc<dyn Service>); 2] {
        [(control::CONTROL, Arc::new(self.control.clone())), (copies::COPIES, Arc::new(self.copies.clone()))]
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.control.clear();
        self.copies.clear();
        self.groups.clear();
    }
}

/// How many groups of a node may change at once.
const CHANGES_MAX: usize = 8;

impl Node {
    /// A node with the shipped kinds and your own.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens the volume, recovers, and becomes a member of its cluster. Without peers it returns when every shard has a
    /// leader; with peers when the cluster has taken it in.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing on the volume was deleted.
    pub async fn start(
        settings: &Settings,
        kinds: KindRegistry,
        metrics: Metrics,
        environment: Environment,
    ) -> Result<Self, StartError> {
        let (identity, store) = Self::open(settings, &environment).await?;
        Self::start_with(identity, store, settings, kinds, metrics, environment).await
    }

    /// Opens the volume only.
    async fn open(settings: &Settings, environment: &Environment) -> Result<(Identity, Store), StartError> {
        let wanted = Wanted {
            name: settings.name.clone(),
            shards: settings.shards.into(),
            cluster_id: settings.cluster_id,
        };
        let identity = Identity::open_or_create(&settings.data_dir, &wanted, environment)?;
        let store = open_store(&settings.data_dir, settings, environment).await?;
        Ok((identity, store))
    }

    /// As [`start`](Self::start), with an identity and a store that are open already. `settings` must say the same.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing on the volume was deleted.
    pub async fn start_with(
        mut identity: Identity,
        store: Store,
        settings: &Settings,
        kinds: KindRegistry,
        metrics: Metrics,
        environment: Environment,
    ) -> Result<Self, StartError> {
        let watch_disk = disk::give_up_when_hanging(store.probe(), settings.hangs_after);
        environment.spawn_vital("watch over the disk", watch_disk);
        // Several nodes of one program may be given the same kinds.
        let kinds = Arc::new(wiring::with_internal_kinds(kinds.apart(), settings)?);
        let router = open_router(&identity, settings, &kinds, &metrics, &environment);
        let (groups, control) = (Groups::default(), Control::default());
        let copies = copies::Desk::new(
            identity.raft_id(),
            identity.shards().get(),
            groups.clone(),
            environment.clone(),
        );
        let over = Over { groups: groups.clone(), control: control.clone(), copies };
        let local = Local {
            name: settings.name.clone(),
            raft_id: identity.raft_id(),
            incarnation: identity.incarnation(),
            release: RELEASE.to_owned(),
            zone: settings.place.zone.clone(),
            track: settings.place.track.clone(),
            shards: identity.shards().get(),
        };
        let (peering, processes, distribution) = match &settings.links {
            Some(links) => {
                let services = over.services();
                let way = open_peering(
                    settings,
                    links,
                    local,
                    &identity,
                    &router,
                    &groups,
                    &services,
                    &environment,
                );
                let Way { peering, processes, distribution } = way.await?;
                control.set_peering(peering.clone());
                (Some(peering), processes, distribution)
            }
            None => (None, None, wiring::distribution(settings, &local, &environment)),
        };
        let transport: Arc<dyn Transport> = match &peering {
            Some(peering) => Arc::new(ConsensusTransport::new(peering.clone())),
            None => Arc::new(Isolated),
        };
        let joining = Joining {
            settings,
            identity: &mut identity,
            store: &store,
            peering: peering.as_ref(),
            transport: Arc::clone(&transport),
            control: &control,
            groups: &groups,
            environment: &environment,
            config: &settings.consensus,
        };
        let joined = tokio::select! {
            biased;
            error = disk::failed(store.health()) => Err(error.into()),
            reason = wiring::panicked(environment.panicked()) => Err(StartError::Fatal { reason }),
            joined = joining.join() => joined,
        };
        let council = match joined {
            Ok(council) => council,
            Err(error) => {
                if let Some(peering) = peering {
                    peering.stop().await;
                }
                return Err(error);
            }
        };
        let node = Self::assemble(
            settings,
            kinds,
            metrics,
            environment,
            identity,
            store,
            router,
            transport,
            council,
            groups,
            processes,
            distribution,
            &control,
            over,
        );
        match settings.links {
            None => {
                settings.progress.waits_for("a leader of each shard");
                node.wait_for_leaders().await?;
            }
            Some(_) => {
                settings.progress.waits_for("a majority of the bootstrap list to have joined");
                node.wait_for_others().await?;
            }
        }
        settings.progress.waits_for("its applications to start");
        Ok(node)
    }

    #[allow(clippy::too_many_arguments)] // They are the node.
    fn assemble(
        settings: &Settings,
        kinds: Arc<KindRegistry>,
        metrics: Metrics,
        environment: Environment,
        identity: Identity,
        store: Store,
        router: Router,
        transport: Arc<dyn Transport>,
        council: Council,
        groups: Groups,
        processes: Option<Processes>,
        distribution: Option<Distribution>,
        control: &Control,
        over: Over,
    ) -> Self {
        let (stop, stopped) = Stop::new();
        let (tell_fatal, fatal) = watch::channel(None);
        environment.spawn(tell_panicked(environment.panicked(), tell_fatal.clone()));
        environment
            .spawn_vital("watch over the store", disk::tell_failed(store.health(), tell_fatal.clone()));
        let leadership = council.system.group().leadership();
        let watch_system = tell_stopped(leadership, stopped.clone(), tell_fatal.clone());
        environment.spawn_vital("watch over the system group", watch_system);
        let (draining, drains) = watch::channel(false);
        let (tell_reached, has_reached) = watch::channel(false);
        let senders: Vec<_> =
            (0..settings.shards.get()).map(|_| watch::channel(ShardStatistics::default()).0).collect();
        let statistics = senders.iter().map(watch::Sender::subscribe).collect();
        let surroundings = kinds.surroundings().clone();
        let services = ShardServices {
            kinds,
            config: settings.shard.clone(),
            outgoing: Arc::new(router.clone()),
            environment: environment.clone(),
            residents: ResidentBudget::new(settings.resident_bytes_max),
            metrics: metrics.clone(),
            traces: settings.traces.clone(),
        };
        let movers = MoverServices {
            council: council.clone(),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            draining: drains,
            store: store.health(),
        };
        let own = identity.raft_id();
        let system_mover = Mover {
            which: Which::System,
            group: council.system.group().clone(),
            handover: None,
            services: movers.clone(),
        };
        let steward = Steward { council: council.clone(), own, config: placement_config(settings) };
        let reaching = Reaching {
            council: council.clone(),
            groups: groups.clone(),
            own,
            start: identity.incarnation(),
            has_reached: tell_reached,
        };
        let shards = Shards::new(Parts {
            own,
            store: store.clone(),
            transport,
            config: settings.consensus.clone(),
            environment: environment.clone(),
            router: router.clone(),
            services,
            mailbox: settings.mailbox,
            metrics: metrics.clone(),
            fatal: tell_fatal,
            statistics: senders,
            groups: groups.clone(),
            movers,
        });
        environment.spawn_vital("care of the router", router.look_after(settings.wait_for_leader));
        let identity = Arc::new(identity);
        let report = reporter(&identity, &council, &groups, wiring::recoveries(&settings.data_dir));
        control.set_report(Arc::clone(&report));
        let operator = Operator::new(operator::Rooms {
            council: council.clone(),
            own,
            standing: Standing { council: council.clone(), own, has_reached: has_reached.clone() },
            copies: over.copies.clone(),
            report,
            observer: None,
        });
        let cluster_names = wiring::cluster_names(distribution.as_ref(), &router, &council, &operator);
        if let Some(distribution) = &distribution {
            let observer = Observer::new(distribution.clone(), cluster_names.clone());
            control.set_observer(observer.clone());
            operator.set_observer(observer);
            surroundings.provide(distribution.clone());
        }
        if let Some(names) = &cluster_names {
            surroundings.provide(names.clone());
        }
        // What handlers may ask for is there before any of them runs.
        let tasks = vec![
            environment
                .spawn_vital("keeper of replicas", shards.run(council.system.known(), stopped.clone())),
            environment.spawn_vital("mover of the system group", system_mover.run(stopped.clone())),
            environment.spawn_vital("steward of the cluster", steward.run(stopped.clone())),
            environment.spawn_vital("report of what was reached", reaching.run(stopped.clone())),
            environment.spawn_vital(
                "report of the store to peers",
                condition::tell(council.peering.clone(), store.health(), stopped),
            ),
        ];
        Self {
            environment,
            identity,
            store,
            router,
            metrics,
            council,
            operator,
            groups,
            processes,
            distribution,
            cluster_names,
            applications: Applications::default(),
            _given: Given(surroundings),
            tasks,
            statistics,
            draining,
            has_reached,
            stop,
            fatal,
            over,
        }
    }

    /// Starts programs of processes on it. If one does not start, those before it are stopped, and the node is to be.
    async fn start_applications(&mut self, wanted: &[Application]) -> Result<(), StartError> {
        let handle = self.handle();
        self.applications.start(wanted, &handle, &self.environment).await
    }

    /// What programs that live with it can reach.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            name: self.identity.name().into(),
            router: self.router.clone(),
            distribution: self.distribution.clone(),
            cluster_names: self.cluster_names.clone(),
        }
    }

    /// Until enough others have joined, a cluster could be left behind with the volume of its founder.
    async fn wait_for_others(&self) -> Result<(), StartError> {
        let is_safe =
            |known: &cluster::system::Known| known.as_ref().is_some_and(|state| !state.is_beginning());
        let (mut known, mut fatal) = (self.council.system.known(), self.fatal.clone());
        tokio::select! {
            biased;
            Ok(reason) = fatal.wait_for(Option::is_some) => {
                Err(StartError::Fatal { reason: reason.clone().unwrap_or_default() })
            }
            _ = known.wait_for(is_safe) => Ok(()),
        }
    }

    async fn wait_for_leaders(&self) -> Result<(), StartError> {
        let deadline = self.environment.now() + LEADERS_WITHIN;
        let shards = usize::from(self.router.shards().get());
        while self.router.led_shards() < shards {
            if let Some(reason) = self.fatal.borrow().clone() {
                return Err(StartError::Fatal { reason });
            }
            if self.environment.now() > deadline {
                return Err(StartError::NoLeaders { led: self.router.led_shards(), shards });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The way to entities.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// A typed reference to an entity. It always exists.
    #[must_use]
    pub fn entity<E: Entity>(&self, key: Key) -> EntityRef<E> {
        EntityRef::new(self.router.clone(), key)
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the store accepts writes.
    #[must_use]
    pub fn store_health(&self) -> watch::Receiver<Health> {
        self.store.health()
    }

    /// What can be asked of the store without keeping it open.
    #[must_use]
    pub fn store_probe(&self) -> Probe {
        self.store.probe()
    }

    /// Whether the store failed for good: this node leads nothing any more, and cannot end in order.
    #[must_use]
    pub fn has_lost_store(&self) -> bool {
        matches!(*self.store.health().borrow(), Health::Failed(_))
    }

    /// Why the node cannot go on, once it cannot.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    /// Reads the counters of all rooms into the metrics. Call it before each scrape.
    #[must_use]
    pub fn meters(&self) -> Meters {
        Meters::new(
            self.metrics.clone(),
            self.store.probe(),
            self.router.clone(),
            self.operator(),
            (self.processes.clone(), self.distribution.clone()),
            self.statistics.clone(),
        )
    }

    /// Whether this start of the node has caught up once with everything that it should have.
    #[must_use]
    pub fn has_reached(&self) -> bool {
        self.standing().has_reached()
    }

    /// Whether a majority of the cluster was heard lately. What was acknowledged stays; a minority serves nothing.
    #[must_use]
    pub fn hears_quorum(&self) -> bool {
        self.standing().hears_quorum()
    }

    /// How it stands in its cluster.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            council: self.council.clone(),
            own: self.identity.raft_id(),
            has_reached: self.has_reached.clone(),
        }
    }

    /// References to processes of other nodes; `None`: this node has none, or is alone.
    #[must_use]
    pub fn processes(&self) -> Option<&Processes> {
        self.processes.as_ref()
    }

    /// The processes of this node as others see them, and those of others; a node that is alone has its own. `None`: this node was
    /// told to have none (`processes.remote` is off, and it has peers).
    #[must_use]
    pub fn distribution(&self) -> Option<&Distribution> {
        self.distribution.as_ref()
    }

    /// Names of processes in the whole cluster; `None` where there is no [`distribution`](Self::distribution).
    #[must_use]
    pub fn cluster_names(&self) -> Option<ClusterNames> {
        self.cluster_names.clone()
    }

    /// What operators ask of the cluster.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// What this node tells about itself.
    #[must_use]
    pub fn report(&self) -> NodeReport {
        let rooms = self.operator.rooms().expect("only a node that stops takes them away");
        (rooms.report)()
    }
}

/// How long a start may take from an open store to a leader of every shard.
const LEADERS_WITHIN: Duration = Duration::from_secs(60);

async fn open_store(
    data_dir: &Path,
    settings: &Settings,
    environment: &Environment,
) -> Result<Store, StoreError> {
    let store = store::open(settings.engine, &data_dir.join("store"), &settings.store, environment)?;
    if !store.is_durable_against_power_loss() && settings.engine != EngineKind::Memory {
        tracing::warn!(
            engine = store.engine_name(),
            "this engine does not survive a loss of power; durability rests on replication alone"
        );
    }
    Ok(store)
}
