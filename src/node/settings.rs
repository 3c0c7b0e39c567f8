//! What a node is told.

use std::{num::NonZeroU16, path::PathBuf};

use playhouse_cluster::{
    consensus,
    identity::ClusterId,
    store::{self, EngineKind},
};

use crate::shard::{self, MailboxConfig};

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
        }
    }
}
