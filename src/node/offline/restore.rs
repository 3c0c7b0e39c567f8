//! Fills the empty volume of the node that founds a cluster with what a backup holds.
//!
//! The cluster is a new one, with an id of its own, and it is founded as any other: only beside volumes that are empty. The
//! founder finds a replica of each shard on its volume and begins with it; the others get theirs from it. Until then nobody
//! serves. A volume that was filled half-way has no identity, and no node starts on it.

use std::{error::Error as StdError, io, path::PathBuf};

use playhouse_cluster::{
    consensus::{GroupId, LogPosition, Restoration},
    environment::Environment,
    identity::{IdentityError, VolumeDraft, Wanted},
    store::{EngineKind, Store},
};

use super::block_on;
use crate::{
    backup::{Backup, BackupError, Manifest, ShardEntry},
    entity::{KindRegistry, SchemaVersion},
    node::{Settings, open_store},
    protocol::{KindName, ShardId},
    shard::Reconciliation,
};

/// What was written to the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How many shards.
    pub shards: u32,
    /// How many pairs.
    pub pairs: u64,
    /// How many pairs of the backup were left out: replies that were kept for gateways of the old cluster.
    pub left_out: u64,
    /// Which entities this program cannot read.
    pub notes: Vec<String>,
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
    /// A node that started with it could read none of these entities. Nothing was written.
    #[error(
        "the backup has {kind} in schema {schema}, and this program reads it only up to schema {to}; nothing was written. Restore with a program as new as the one that took it, release {release}"
    )]
    TooNew {
        /// Which kind.
        kind: String,
        /// What the backup has.
        schema: u32,
        /// The newest that can be read.
        to: SchemaVersion,
        /// The release that took the backup.
        release: String,
    },
    /// Nothing was written.
    #[error("store.engine is memory: what is restored would be gone at once; nothing was written")]
    NotKept,
    /// Its id is drawn when the cluster is founded. Nothing was written.
    #[error(
        "cluster.id is set, and a restored cluster gets a new id; nothing was written. Unset cluster.id on all nodes; it can be set to the new id later"
    )]
    ClusterIdSet,
    /// The manifest says no cluster id. Nothing was written.
    #[error("the manifest of the backup does not say of which cluster it is; nothing was written")]
    NoCluster,
    /// The volume cannot be used. Nothing was written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Something went wrong after the first write: the backup could not be read again, or the volume could not be written.
    #[error("{} is half-filled, and no node must start on it: remove what is there and restore again", path.display())]
    HalfFilled {
        /// The folder of the volume.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Threads could not be started. Nothing was written.
    #[error("could not start; nothing was written")]
    Io(#[from] io::Error),
}

/// Whatever can go wrong while a volume is filled; what it leaves is the same.
type FillError = Box<dyn StdError + Send + Sync>;

/// Fills the volume of `settings` from a backup, which is read as a whole before anything is written. `kinds` are those of the
/// nodes that will run.
///
/// # Errors
///
/// [`RestoreError`]; each says what is on the volume now.
pub fn restore(settings: &Settings, backup: &Backup, kinds: &KindRegistry) -> Result<Restored, RestoreError> {
    check(settings, backup)?;
    let notes = readable(backup.manifest(), kinds)?;
    let all = reconcile(backup)?;
    let pairs = block_on(|environment| async move { fill(settings, backup, &all, &environment).await })??;
    let manifest = backup.manifest();
    Ok(Restored { shards: manifest.shards, pairs, left_out: manifest.pairs() - pairs, notes })
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
    if settings.cluster_id.is_some() {
        return Err(RestoreError::ClusterIdSet);
    }
    if settings.engine == EngineKind::Memory { Err(RestoreError::NotKept) } else { Ok(()) }
}

/// Entities of a kind that this program does not have stay where they are, and nobody can ask them: that is worth a note.
fn readable(manifest: &Manifest, kinds: &KindRegistry) -> Result<Vec<String>, RestoreError> {
    let mut notes = Vec::new();
    for (kind, schema) in &manifest.schemas {
        let known = KindName::new(kind.clone()).ok().and_then(|name| kinds.find(&name));
        let Some(known) = known else {
            notes.push(format!("this program has no kind {kind}; entities of it are restored unread"));
            continue;
        };
        let (from, to) = kinds.reads(known).into_inner();
        if u32::from(to) < *schema {
            let release = manifest.release.clone();
            return Err(RestoreError::TooNew { kind: kind.clone(), schema: *schema, to, release });
        }
        if u32::from(from) > *schema {
            notes.push(format!(
                "the backup has {kind} in schema {schema}, and this program reads it from {from} on"
            ));
        }
    }
    Ok(notes)
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
) -> Result<u64, RestoreError> {
    let from = backup.manifest().cluster_id.parse().map_err(|_| RestoreError::NoCluster)?;
    let wanted = Wanted {
        name: settings.name.clone(),
        shards: settings.shards.into(),
        cluster_id: settings.cluster_id,
    };
    let draft = VolumeDraft::begin(&settings.data_dir, &wanted, from, environment)?;
    let filled = fill_draft(settings, backup, all, draft, environment).await;
    filled.map_err(|source| RestoreError::HalfFilled { path: settings.data_dir.clone(), source })
}

async fn fill_draft(
    settings: &Settings,
    backup: &Backup,
    all: &Reconciliation,
    draft: VolumeDraft,
    environment: &Environment,
) -> Result<u64, FillError> {
    let store = open_store(&settings.data_dir, settings, environment).await?;
    let mut pairs = 0;
    for entry in &backup.manifest().files {
        pairs += fill_shard(backup, entry, all, &store, &draft).await?;
    }
    store.release().await;
    draft.finish()?;
    Ok(pairs)
}

async fn fill_shard(
    backup: &Backup,
    entry: &ShardEntry,
    all: &Reconciliation,
    store: &Store,
    draft: &VolumeDraft,
) -> Result<u64, FillError> {
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

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroU16, path::Path};

    use playhouse_cluster::identity::{ClusterId, Identity};

    use super::*;
    use crate::{
        backup::{BackupWriter, FORMAT, Header},
        entity::Entity,
        kinds::Counter,
    };

    const FROM: ClusterId = ClusterId(5);

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            cluster_id: FROM.to_string(),
            shards: 1,
            release: "7.0.0".to_owned(),
            schemas: [].into(),
            began_ms: 0,
            ended_ms: 0,
            files: Vec::new(),
            checksum: String::new(),
        }
    }

    fn notes(kind: &str, schema: u32) -> Result<Vec<String>, RestoreError> {
        let mut kinds = KindRegistry::default();
        kinds.register::<Counter>().unwrap();
        readable(&Manifest { schemas: [(kind.to_owned(), schema)].into(), ..manifest() }, &kinds)
    }

    /// A backup of one shard without anything in it.
    fn empty_backup(folder: &Path) -> Backup {
        let mut backup = BackupWriter::begin(folder, manifest()).unwrap();
        let cluster_id = FROM.to_string();
        let header =
            Header { format: FORMAT, cluster_id, shard: 0, shards: 1, term: 1, index: 1, taken_ms: 0 };
        let shard = backup.shard(&header).unwrap();
        backup.end_shard(&header, shard).unwrap();
        backup.finish().unwrap();
        Backup::open(folder).unwrap()
    }

    fn settings(data_dir: &Path) -> Settings {
        let shards = NonZeroU16::new(1).unwrap();
        Settings { shards, engine: EngineKind::Fjall, ..Settings::new("node-0", data_dir) }
    }

    /// It said that nothing was written, because the backup was at fault; but the volume was begun.
    #[test]
    fn what_fails_behind_the_first_write_leaves_no_volume_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, volume) = (empty_backup(&folder.path().join("backup")), folder.path().join("volume"));
        let settings = settings(&volume);
        let all = reconcile(&backup).unwrap();
        fs::remove_file(folder.path().join("backup").join(&backup.manifest().files[0].file)).unwrap();
        let filled = block_on(|environment| async move {
            let filled = fill(&settings, &backup, &all, &environment).await;
            let wanted = Wanted { name: "node-0".into(), shards: settings.shards.into(), cluster_id: None };
            (filled, Identity::open_or_create(&settings.data_dir, &wanted, &environment))
        });
        let (filled, started) = filled.unwrap();
        let error = filled.unwrap_err();
        let RestoreError::HalfFilled { path, source } = &error else { panic!("{error:?}") };
        assert!(*path == volume && source.downcast_ref::<BackupError>().is_some(), "{error:?}");
        assert!(matches!(started, Err(IdentityError::Missing { .. })), "{started:?}");
    }

    /// The founder drew another id and could not found.
    #[test]
    fn a_cluster_id_in_the_settings_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, volume) = (empty_backup(&folder.path().join("backup")), folder.path().join("volume"));
        let told = Settings { cluster_id: Some(FROM), ..settings(&volume) };
        let refused = restore(&told, &backup, &KindRegistry::default());
        assert!(matches!(refused, Err(RestoreError::ClusterIdSet)), "{refused:?}");
        assert!(!volume.exists());
        restore(&settings(&volume), &backup, &KindRegistry::default()).unwrap();
    }

    /// It was restored without a word, and then every call failed.
    #[test]
    fn a_backup_of_a_newer_program_is_refused() {
        let (from, to) = Counter::READS.into_inner();
        let newer = u32::from(to) + 1;
        let refused = notes(Counter::KIND, newer).unwrap_err().to_string();
        assert!(refused.contains(&format!("in schema {newer}")) && refused.contains("7.0.0"), "{refused}");
        for schema in [from, to] {
            assert!(notes(Counter::KIND, schema.into()).unwrap().is_empty());
        }
    }

    #[test]
    fn kinds_that_cannot_be_read_are_told() {
        assert!(notes("gone", 1).unwrap()[0].contains("no kind gone"));
        let older = u32::from(*Counter::READS.start()) - 1;
        assert!(notes(Counter::KIND, older).unwrap()[0].contains("this program reads it from"));
    }
}
