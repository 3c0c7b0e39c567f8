//! What a node is told.

mod cluster;
mod disk;
mod links;

use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use playhouse_cluster::{
    consensus,
    identity::ClusterId,
    peering::processes,
    store::{self, EngineKind},
};

pub use cluster::{Bootstrap, Peers, Place};
pub use disk::HangsAfter;
pub use links::Links;

use super::Progress;
use crate::{
    config::{Config, Engine, Switch},
    process::distribution,
    shard::{self, MailboxConfig},
    telemetry::traces::Traces,
};

/// What the configuration allows fits into the configuration of a cluster.
const _: () = assert!(crate::config::SHARDS_MAX as u32 <= playhouse_cluster::membership::SHARDS_MAX);

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
    /// Its place in the cluster.
    pub place: Place,
    /// How the cluster is formed.
    pub bootstrap: Bootstrap,
    /// The way to other nodes, as it was configured.
    pub peers: Peers,
    /// The way to other nodes, ready to be used; `None`: the node is alone.
    pub links: Option<Links>,
    /// References to processes of other nodes; `None`: there are none. Not for several nodes in one operating system
    /// process.
    pub processes: Option<processes::Config>,
    /// Processes of this node as others see them, names, groups, spawning; a node that is alone has these, too. `None`: there are
    /// none.
    pub distribution: Option<distribution::Config>,
    /// How long a request waits for a leader to be known before it fails.
    pub wait_for_leader: Duration,
    /// Which store engine. Fixed when the volume is first used.
    pub engine: EngineKind,
    /// Bounds of the store.
    pub store: store::Config,
    /// How long a disk may not answer.
    pub hangs_after: HangsAfter,
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
    /// Where the node says what it waits for while it starts.
    pub progress: Progress,
}

impl Settings {
    /// Defaults for a node `name` with its volume at `data_dir`.
    #[must_use]
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let name = name.into();
        Self {
            place: Place::default(),
            bootstrap: Bootstrap::alone(&name),
            peers: Peers::default(),
            links: None,
            processes: None,
            distribution: Some(distribution::Config::default()),
            wait_for_leader: Duration::from_secs(5),
            name,
            data_dir: data_dir.into(),
            shards: NonZeroU16::new(16).expect("it is not zero"),
            cluster_id: None,
            engine: EngineKind::Fjall,
            store: store::Config::default(),
            hangs_after: HangsAfter::default(),
            consensus: consensus::Config::default(),
            shard: shard::Config::default(),
            mailbox: MailboxConfig::default(),
            resident_bytes_max: 512 << 20,
            traces: Traces::off(),
            progress: Progress::default(),
        }
    }

    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut settings = Self::new(config.node.name.clone(), config.node.data_dir.clone());
        settings.shards = config.node.shards;
        settings.cluster_id = config.cluster.id.map(|id| ClusterId(id.0));
        settings.place = Place::of(config);
        settings.bootstrap = Bootstrap::of(config);
        settings.peers = Peers::of(config);
        settings.processes = remote_processes(config);
        settings.distribution = distribution(config);
        settings.engine = match config.store.engine {
            Engine::Fjall => EngineKind::Fjall,
            Engine::Sled => EngineKind::Sled,
            Engine::Memory => EngineKind::Memory,
        };
        settings.store.reserve_bytes = config.store.reserve_bytes.0;
        settings.store.cache_bytes = config.store.cache_bytes.0;
        settings.hangs_after = HangsAfter::of(config);
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

fn remote_processes(config: &Config) -> Option<processes::Config> {
    let told = &config.processes;
    let wanted = told.remote == Switch::On && told.ractor_cluster == Switch::On;
    wanted.then(|| processes::Config {
        frame_bytes_max: size(told.message_bytes_max.0),
        waiting_bytes_max: size(told.waiting_bytes_max.0),
        answers_bytes_max: size(told.answers_bytes_max.0),
        ..processes::Config::default()
    })
}

/// A message between processes is one frame of the link, and those have 16 MiB at most.
const MESSAGE_BYTES_MAX: usize = 15 << 20;

fn distribution(config: &Config) -> Option<distribution::Config> {
    let told = &config.processes;
    // A node that is alone has no remote processes; what it has of its own is not switched off by that.
    (told.remote == Switch::On || config.is_alone()).then(|| distribution::Config {
        message_bytes_max: size(told.message_bytes_max.0).min(MESSAGE_BYTES_MAX),
        waiting_bytes_max: size(told.waiting_bytes_max.0),
        signals_bytes_max: size(told.answers_bytes_max.0),
        ..distribution::Config::default()
    })
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
