//! Fills the empty volume of the node that founds a cluster with what a backup holds.
//!
//! The cluster is a new one, with an id of its own, and it is founded as any other: only beside volumes that are empty. The
//! founder finds a replica of each shard on its volume and begins with it; the others get theirs from it. Until then nobody
//! serves. A volume that was filled half-way has no identity, and no node starts on it.

use std::io;

use playhouse_cluster::{
    consensus::{GroupId, LogPosition, OpenError, Restoration},
    environment::Environment,
    identity::{IdentityError, VolumeDraft, Wanted},
    store::{EngineKind, Store, StoreError},
};

use super::block_on;
use crate::{
    backup::{Backup, BackupError, ShardEntry},
    node::{Settings, open_store},
    protocol::ShardId,
    shard::Reconciliation,
};

/// What was written to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How many shards.
    pub shards: u32,
    /// How many pairs.
    pub pairs: u64,
    /// How many pairs of the backup were left out: replies that were kept for gateways of the old cluster.
    pub left_out: u64,
}

/// The volume was not filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup cannot be used. Nothing was written.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A cluster keeps its number of shards for ever. Nothing was written.
    #[error(
        "the backup has {backup} shards, and node.shards is {settings}; nothing was written. Set node.shards to {backup} on all nodes"
    )]
    OtherShards {
        /// Those of the backup.
        backup: u32,
        /// Those of the settings.
        settings: u32,
    },
    /// Only the founder brings anything into a cluster. Nothing was written.
    #[error(
        "{name} does not found the cluster, {initiator} does (bootstrap.initiator); nothing was written. Restore to the volume of {initiator}, and start the others with empty volumes"
    )]
    NotInitiator {
        /// Whose volume it is.
        name: String,
        /// Whose it should be.
        initiator: String,
    },
    /// Nothing was written.
    #[error("store.engine is memory: what is restored would be gone at once; nothing was written")]
    NotKept,
    /// The manifest says no cluster id. Nothing was written.
    #[error("the manifest of the backup does not say of which cluster it is; nothing was written")]
    NoCluster,
    /// The volume cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be written. What is there is no volume: remove it by hand.
    #[error("the volume could not be written; no node starts on what is there, remove it and restore again")]
    Store(#[from] StoreError),
    /// A group cannot be written. What is there is no volume: remove it by hand.
    #[error("the volume could not be written; no node starts on what is there, remove it and restore again")]
    Group(#[from] OpenError),
    /// Threads could not be started. Nothing was written.
    #[error("could not start; nothing was written")]
    Io(#[from] io::Error),
}

/// Fills the volume of `settings` from a backup, which is read as a whole before anything is written.
///
/// # Errors
///
/// [`RestoreError`]; each says what is on the volume now.
pub fn restore(settings: &Settings, backup: &Backup) -> Result<Restored, RestoreError> {
    check(settings, backup)?;
    let all = reconcile(backup)?;
    block_on(|environment| async move { fill(settings, backup, &all, &environment).await })?
}

fn check(settings: &Settings, backup: &Backup) -> Result<(), RestoreError> {
    let (found, wanted) = (backup.manifest().shards, u32::from(settings.shards.get()));
    if found != wanted {
        return Err(RestoreError::OtherShards { backup: found, settings: wanted });
    }
    let (name, initiator) = (settings.name.clone(), settings.bootstrap.initiator.clone());
    if name != initiator {
        return Err(RestoreError::NotInitiator { name, initiator });
    }
    if settings.engine == EngineKind::Memory { Err(RestoreError::NotKept) } else { Ok(()) }
}

/// Reads everything once: damage is found before anything is written.
fn reconcile(backup: &Backup) -> Result<Reconciliation, RestoreError> {
    let mut all = Reconciliation::default();
    for entry in &backup.manifest().files {
        let mut parts = backup.parts(entry)?;
        while let Some(pairs) = parts.next()? {
            for (key, value) in &pairs {
                all.note(key, value).map_err(|error| backup.damaged(entry, error.to_string()))?;
            }
        }
    }
    Ok(all)
}

async fn fill(
    settings: &Settings,
    backup: &Backup,
    all: &Reconciliation,
    environment: &Environment,
) -> Result<Restored, RestoreError> {
    let from = backup.manifest().cluster_id.parse().map_err(|_| RestoreError::NoCluster)?;
    let wanted = Wanted {
        name: settings.name.clone(),
        shards: settings.shards.into(),
        cluster_id: settings.cluster_id,
    };
    let draft = VolumeDraft::begin(&settings.data_dir, &wanted, from, environment)?;
    let store = open_store(&settings.data_dir, settings, environment).await?;
    let mut pairs = 0;
    for entry in &backup.manifest().files {
        pairs += fill_shard(backup, entry, all, &store, &draft).await?;
    }
    store.release().await;
    draft.finish()?;
    let left_out = backup.manifest().pairs() - pairs;
    Ok(Restored { shards: backup.manifest().shards, pairs, left_out })
}

async fn fill_shard(
    backup: &Backup,
    entry: &ShardEntry,
    all: &Reconciliation,
    store: &Store,
    draft: &VolumeDraft,
) -> Result<u64, RestoreError> {
    let shard = ShardId(u16::try_from(entry.shard).expect("it is one of node.shards"));
    let mut replica = Restoration::begin(store, GroupId(entry.shard))?;
    let (key, value) = all.first_pair(shard);
    replica.put(&key, value).await?;
    let mut parts = backup.parts(entry)?;
    let mut count = 0;
    while let Some(pairs) = parts.next()? {
        for (key, value) in pairs {
            let restored = all.pair(shard, &key, value);
            let restored = restored.map_err(|error| backup.damaged(entry, error.to_string()))?;
            if let Some(value) = restored {
                replica.put(&key, value).await?;
                count += 1;
            }
        }
    }
    let position = LogPosition { term: entry.term, index: entry.index };
    replica.finish(draft.raft_id(), position).await?;
    Ok(count)
}
