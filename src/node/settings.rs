//! What a node is told.

use std::{collections::BTreeSet, fmt, num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus,
    identity::ClusterId,
    peering::{self, CookieSource, Discovery},
    store::{self, EngineKind},
};

use crate::{
    config::{Config, Engine},
    shard::{self, MailboxConfig},
    telemetry::traces::Traces,
};

/// What a node is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Where identity and state are kept.
    pub data_dir: PathBuf,
    /// How many shards the cluster has. Fixed when the volume is first used.
    pub shards: NonZeroU16,
    /// The cluster that the volume must belong to; `None`: any.
    pub cluster_id: Option<ClusterId>,
    /// Which store engine. Fixed when the volume is first used.
    pub engine: EngineKind,
    /// Bounds of the store.
    pub store: store::Config,
    /// Raft timing and log bounds.
    pub consensus: consensus::Config,
    /// Bounds of executors.
    pub shard: shard::Config,
    /// Bounds of mailboxes.
    pub mailbox: MailboxConfig,
    /// What entities that are awake may take, in bytes, all shards together.
    pub resident_bytes_max: usize,
    /// Where spans go.
    pub traces: Traces,
    /// How a cluster is formed; `None`: this node alone.
    pub bootstrap: Option<Bootstrap>,
    /// How other nodes are found and reached; `None`: this node has no peers.
    pub peers: Option<Peers>,
    /// Where the node runs: nodes of one zone fail together. Empty: unknown.
    pub zone: String,
    /// The track of the node in a rollout.
    pub track: String,
    /// How many replicas each shard has, while there are as many nodes. Fixed when the cluster is formed.
    pub replication_factor: u8,
    /// How long a member may be down before its replicas are replaced.
    pub down_replaced_after: Duration,
    /// How long a request waits for a leader to be known before it fails.
    pub wait_for_leader: Duration,
}

/// How a cluster is formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The only node that may found it.
    pub initiator: String,
    /// The nodes that must agree.
    pub members: BTreeSet<String>,
}

/// How other nodes are found and reached.
#[derive(Clone)]
pub struct Peers {
    /// The link.
    pub link: peering::Config,
    /// The cookie.
    pub cookies: Arc<dyn CookieSource>,
    /// Where other nodes may be.
    pub discovery: Arc<dyn Discovery>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Peers").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Settings {
    /// Defaults for a node `name` with its volume at `data_dir`.
    #[must_use]
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            shards: NonZeroU16::new(16).expect("it is not zero"),
            cluster_id: None,
            engine: EngineKind::Fjall,
            store: store::Config::default(),
            consensus: consensus::Config::default(),
            shard: shard::Config::default(),
            mailbox: MailboxConfig::default(),
            resident_bytes_max: 512 << 20,
            traces: Traces::off(),
            bootstrap: None,
            peers: None,
            zone: String::new(),
            track: "stable".to_owned(),
            replication_factor: 3,
            down_replaced_after: Duration::from_secs(600),
            wait_for_leader: Duration::from_secs(5),
        }
    }

    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut settings = Self::new(config.node.name.clone(), config.node.data_dir.clone());
        settings.shards = config.node.shards;
        settings.engine = match config.store.engine {
            Engine::Fjall => EngineKind::Fjall,
            Engine::Sled => EngineKind::Sled,
            Engine::Memory => EngineKind::Memory,
        };
        settings.store.reserve_bytes = config.store.reserve_bytes.0;
        settings.store.cache_bytes = config.store.cache_bytes.0;
        let (limits, shard) = (&config.limits, &mut settings.shard);
        settings.resident_bytes_max = size(limits.memory_budget_bytes.0);
        settings.mailbox.bytes_max = size(limits.mailbox_bytes_max.0);
        shard.limits.state_bytes_max = size(limits.state_bytes_max.0);
        shard.limits.reply_bytes_max = size(limits.reply_bytes_max.0);
        shard.limits.effects_bytes_max = size(limits.proposal_bytes_max.0);
        shard.proposal_bytes_max = size(limits.proposal_bytes_max.0) / 2;
        shard.passivate_after = limits.idle_passivation;
        shard.idempotency_window = limits.idempotency_window;
        shard.idempotency_bytes_max = limits.idempotency_bytes_max.0;
        settings
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
