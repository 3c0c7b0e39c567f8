//! The only place that assembles, spawns and drains.
//!
//! Comes in: settings, kinds, an environment. Leaves: a running [`Node`] with its [`Router`].

mod builder;
mod error;
mod groups;
mod launch;
mod meters;
#[cfg(test)]
mod replicas;
mod settings;
mod supervise;
#[cfg(test)]
mod traced;

use std::{path::Path, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::RaftGroup,
    environment::Environment,
    identity::{Identity, Wanted},
    store::{self, EngineKind, Health, Store},
};
use tokio::{sync::watch, task::JoinHandle};

pub use builder::Builder;
pub use error::StartError;
pub use launch::{Launch, LaunchError, launch};
pub use meters::Meters;
pub use settings::{Bootstrap, Peers, Place, Settings};

use crate::{
    entity::{Entity, KindRegistry},
    protocol::{Key, ShardId},
    router::{EntityRef, Router, RouterIdentity},
    shard::{ResidentBudget, ShardServices, ShardStatistics},
    telemetry::Metrics,
};

/// The release of this node.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// A running node: its store, its Raft groups, its router.
pub struct Node {
    environment: Environment,
    identity: Arc<Identity>,
    store: Store,
    router: Router,
    metrics: Metrics,
    groups: Vec<RaftGroup>,
    supervisors: Vec<JoinHandle<()>>,
    statistics: Vec<watch::Receiver<ShardStatistics>>,
    stop: watch::Sender<bool>,
    fatal: watch::Receiver<Option<String>>,
}

impl Node {
    /// A node with the shipped kinds and your own.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens the volume, recovers, and leads its shards. Returns when every shard has a leader.
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
        let wanted = Wanted {
            name: settings.name.clone(),
            shards: settings.shards.into(),
            cluster_id: settings.cluster_id,
        };
        let identity = Arc::new(Identity::open_or_create(&settings.data_dir, &wanted, &environment)?);
        let store = open_store(&settings.data_dir, settings, &environment).await?;
        let (tell_fatal, fatal) = watch::channel(None);
        let router_identity =
            RouterIdentity { node: identity.raft_id().0, incarnation: identity.incarnation().0 };
        let kinds = Arc::new(kinds);
        let answers = meters::answer_observer(&metrics, &kinds);
        let router =
            Router::new(router_identity, settings.shards, Arc::clone(&kinds), environment.clone(), answers);
        let services = ShardServices {
            kinds,
            config: settings.shard.clone(),
            outgoing: Arc::new(router.clone()),
            environment: environment.clone(),
            residents: ResidentBudget::new(settings.resident_bytes_max),
            metrics: metrics.clone(),
            traces: settings.traces.clone(),
        };
        let groups = groups::open_all(settings, identity.raft_id(), &store, &environment).await?;
        let (stop, stopped) = watch::channel(false);
        let mut node = Self {
            environment,
            identity,
            store,
            router,
            metrics,
            groups,
            supervisors: Vec::new(),
            statistics: Vec::new(),
            stop,
            fatal,
        };
        node.supervise(settings, &services, &stopped, &tell_fatal);
        node.wait_for_leaders().await?;
        Ok(node)
    }

    fn supervise(
        &mut self,
        settings: &Settings,
        services: &ShardServices,
        stopped: &watch::Receiver<bool>,
        fatal: &watch::Sender<Option<String>>,
    ) {
        for (number, group) in (0..settings.shards.get()).zip(&self.groups) {
            let (publish, statistics) = watch::channel(ShardStatistics::default());
            self.statistics.push(statistics);
            let supervisor = supervise::Supervisor {
                shard: ShardId(number),
                group: group.clone(),
                router: self.router.clone(),
                services: services.clone(),
                mailbox: settings.mailbox,
                statistics: publish,
                metrics: self.metrics.clone(),
                fatal: fatal.clone(),
            };
            self.supervisors.push(self.environment.spawn(supervisor.run(stopped.clone())));
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

    /// Why the node cannot go on, once it cannot.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    /// Reads the counters of all rooms into the metrics. Call it before each scrape.
    #[must_use]
    pub fn meters(&self) -> Meters {
        Meters::new(self.metrics.clone(), self.store.probe(), self.router.clone(), self.statistics.clone())
    }

    /// Takes no more requests, waits for those under way at most `budget`, then stops everything in order.
    /// Another node may use the volume when it returns, unless a handler runs on for ever.
    pub async fn stop(self, budget: Duration) {
        self.router.drain();
        let deadline = self.environment.now() + budget;
        while self.router.unanswered() > 0 && self.environment.now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = self.router.unanswered();
        if left > 0 {
            tracing::warn!(left, "the drain budget is over; these requests get no answer");
        }
        self.stop.send_replace(true);
        for supervisor in self.supervisors {
            drop(supervisor.await);
        }
        for group in &self.groups {
            group.shutdown().await;
        }
        drop(self.groups);
        // Executors that were asked to end may hold the store a moment longer.
        let released = tokio::time::timeout(RELEASED_WITHIN, self.store.release()).await;
        if released.is_err() {
            tracing::warn!("a handler does not return; the files stay open until the process ends");
        }
    }
}

/// How long executors may take to notice that the node stopped.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// How long a start may take from an open store to a leader of every shard.
const LEADERS_WITHIN: Duration = Duration::from_secs(60);

async fn open_store(
    data_dir: &Path,
    settings: &Settings,
    environment: &Environment,
) -> Result<Store, StartError> {
    let store = store::open(settings.engine, &data_dir.join("store"), &settings.store, environment)?;
    if !store.is_durable_against_power_loss() && settings.engine != EngineKind::Memory {
        tracing::warn!(
            engine = store.engine_name(),
            "this engine does not survive a loss of power; durability rests on replication alone"
        );
    }
    Ok(store)
}
