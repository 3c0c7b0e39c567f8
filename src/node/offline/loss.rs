//! Goes on with the replica of one volume after a majority was lost for good.
//!
//! Either one shard lost its majority while the system group lives: then that shard goes on with the replica on this volume, and
//! the cluster learns of it from its leader. The cluster keeps its id, so no other volume may hold a replica that could go on by
//! itself: the cluster has already agreed that it never accepts those again. Or the system group lost its majority, too: then
//! everything goes on with this volume, under a new cluster id, so that nothing of the old cluster can reach the new one.
//!
//! Without consent nothing is changed; what would be given up is told. With it, the record of recoveries is written first, then,
//! for everything, the identity of the volume, then all groups at once, then that it is done. Interrupted in between, the node
//! must not start before the same command has finished it.

mod error;
mod knowledge;
mod unfinished;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::Path,
};

use playhouse_cluster::{
    consensus::{GroupId, RaftId, Recovery},
    environment::Environment,
    identity::{ClusterId, StoppedVolume},
    membership::{ClusterState, Loss, Which},
    store::{Batch, Store},
};

pub use self::error::RecoverError;
use self::knowledge::Knowledge;
use super::{Audit, AuditEntry, RecoveredGroup, block_on};
use crate::{
    node::{
        RELEASE, Settings,
        cluster::system::{KEY, SYSTEM},
        open_store,
    },
    shard::{clock_of, numbers_after_loss, numbers_key},
};

/// What all groups together may not have applied yet, in bytes: it is applied at once.
const APPLIED_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(1 << 30).expect("it is not zero");

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossWanted {
    /// The shard that goes on; `None`: everything, the system group included.
    pub shard: Option<u32>,
    /// The names of the members whose volumes never come back.
    pub lost: BTreeSet<String>,
    /// Whether to do it, and not only to tell what would be given up.
    pub has_consent: bool,
}

/// What is given up, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossReport {
    /// What is recorded: each group, and up to where it is kept.
    pub entry: AuditEntry,
    /// How many entries are kept although nobody knows whether they were acknowledged, all groups together.
    pub unconfirmed: u64,
}

/// Tells what would be given up, or does it. What was done before but for its last line in the record is only recorded.
///
/// # Errors
///
/// [`RecoverError`]; each says what was changed.
pub fn recover(settings: &Settings, wanted: &LossWanted) -> Result<LossReport, RecoverError> {
    let mut settings = settings.clone();
    settings.store.batch_bytes_max = APPLIED_BYTES_MAX.max(settings.store.batch_bytes_max);
    block_on(|environment| async move {
        let mut volume = StoppedVolume::open(&settings.data_dir)?;
        let store = open_store(&settings.data_dir, &settings, &environment).await?;
        let recovered = recover_on(&store, &mut volume, &settings.data_dir, wanted, &environment).await;
        store.release().await;
        recovered
    })?
}

async fn recover_on(
    store: &Store,
    volume: &mut StoppedVolume,
    data_dir: &Path,
    wanted: &LossWanted,
    environment: &Environment,
) -> Result<LossReport, RecoverError> {
    let audit = Audit::of(data_dir);
    if let Some(entry) = unfinished::find(audit.read()?, store, volume, wanted)? {
        return if wanted.has_consent { finish(entry, &audit) } else { Ok(LossReport::of_look(entry)) };
    }
    let case = Case::read(store, volume, wanted)?;
    if wanted.has_consent {
        case.recover(volume, &audit, environment).await
    } else {
        Ok(LossReport::of_look(case.entry(environment, None)?))
    }
}

/// Everything is as `entry` says: only that is to be recorded.
fn finish(mut entry: AuditEntry, audit: &Audit) -> Result<LossReport, RecoverError> {
    entry.is_done = true;
    audit.add(&entry).map_err(RecoverError::begun("the record of recoveries"))?;
    Ok(LossReport::of(entry))
}

impl LossReport {
    fn of(entry: AuditEntry) -> Self {
        let unconfirmed = entry.groups.iter().map(|group| group.index.saturating_sub(group.committed)).sum();
        Self { entry, unconfirmed }
    }

    /// Nothing goes on under another id before it is done.
    fn of_look(entry: AuditEntry) -> Self {
        Self::of(AuditEntry { new_cluster_id: None, ..entry })
    }
}

/// What there is, and what is lost.
struct Case {
    store: Store,
    known: Knowledge,
    lost: BTreeSet<RaftId>,
    /// What goes on here. With the system group it is everything.
    groups: BTreeMap<Which, Recovery>,
}

impl Case {
    fn read(store: &Store, volume: &StoppedVolume, wanted: &LossWanted) -> Result<Self, RecoverError> {
        let system = Recovery::open(store, SYSTEM)?.ok_or(RecoverError::NoCluster)?;
        let stored = match wanted.shard {
            // The system group lives: what it has not committed it may drop.
            Some(_) => system.confirmed(KEY)?,
            None => system.latest(KEY)?,
        };
        let stored = stored.ok_or(RecoverError::NoCluster)?;
        let state = ClusterState::decode(&stored).map_err(|error| RecoverError::Format(error.to_string()))?;
        let known = Knowledge { own: volume.raft_id(), name: volume.name().to_owned(), state };
        let (store, lost, groups) = (store.clone(), BTreeSet::new(), BTreeMap::new());
        let case = Self { store, known, lost, groups };
        match wanted.shard {
            Some(shard) => case.one(shard, &system, &wanted.lost),
            None => case.all(system, &wanted.lost),
        }
    }

    /// One shard goes on here; the rest of the cluster lives.
    fn one(mut self, shard: u32, system: &Recovery, names: &BTreeSet<String>) -> Result<Self, RecoverError> {
        let replica = Recovery::open(&self.store, GroupId(shard))?;
        let survivor = replica.as_ref().map(Recovery::survivor);
        self.lost = self.known.check_shard(shard, survivor, system.survivor(), names)?;
        self.groups.extend(replica.map(|replica| (Which::Shard(shard), replica)));
        Ok(self)
    }

    /// Everything goes on here.
    fn all(mut self, system: Recovery, names: &BTreeSet<String>) -> Result<Self, RecoverError> {
        self.lost = self.known.check_all(system.survivor(), names)?;
        self.groups.insert(Which::System, system);
        for shard in 0..self.known.state.shards() {
            let which = Which::Shard(shard);
            let replica = Recovery::open(&self.store, GroupId(shard))?;
            self.known.check_votes(which, replica.as_ref().map(Recovery::survivor))?;
            self.groups.extend(replica.map(|replica| (which, replica)));
        }
        Ok(self)
    }

    async fn recover(
        &self,
        volume: &mut StoppedVolume,
        audit: &Audit,
        environment: &Environment,
    ) -> Result<LossReport, RecoverError> {
        let is_whole = self.groups.contains_key(&Which::System);
        let new_id = is_whole.then(|| ClusterId(environment.random_u128()));
        let entry = self.entry(environment, new_id)?;
        let batch = self.batch(new_id, environment.wall_ms())?;
        // Refused later, the identity would be changed already.
        let (bytes, bytes_max) = (batch.bytes(), self.store.batch_bytes_max());
        if bytes > bytes_max {
            return Err(RecoverError::TooLarge { bytes, bytes_max });
        }
        audit.add(&entry)?;
        if let Some(cluster_id) = new_id {
            volume.move_to_cluster(cluster_id).map_err(RecoverError::begun("the identity of the volume"))?;
        }
        self.store.commit(batch).await.map_err(RecoverError::begun("what goes on"))?;
        finish(entry, audit)
    }

    /// Everything that changes, for all groups at once.
    fn batch(&self, new_id: Option<ClusterId>, now_ms: u64) -> Result<Batch, RecoverError> {
        let mut batch = Batch::new();
        for (which, group) in &self.groups {
            let mut changes = Batch::new();
            if let Which::Shard(_) = which {
                let stored = group.latest(&numbers_key())?;
                changes.put(numbers_key(), numbers_after_loss(stored.as_deref())?);
            } else if let Some(cluster_id) = new_id {
                let next = self.known.state.after_loss(&self.loss(cluster_id), now_ms);
                let next = next.map_err(RecoverError::Refused)?;
                let encoded = next.encode().map_err(|error| RecoverError::Format(error.to_string()))?;
                changes.put(KEY, encoded);
            }
            group.write(self.known.own, &changes, &mut batch)?;
        }
        Ok(batch)
    }

    fn loss(&self, cluster_id: ClusterId) -> Loss {
        let recovered = self.groups.iter().map(|(which, group)| (*which, group.index()));
        let (survivor, lost) = (self.known.own, self.lost.clone());
        Loss { survivor, lost, recovered: recovered.collect(), cluster_id }
    }

    fn entry(
        &self,
        environment: &Environment,
        new_id: Option<ClusterId>,
    ) -> Result<AuditEntry, RecoverError> {
        let groups = self.groups.iter().map(|(which, group)| self.entry_of(*which, group));
        Ok(AuditEntry {
            at_ms: environment.wall_ms(),
            is_done: false,
            release: RELEASE.to_owned(),
            node: self.known.name.clone(),
            lost: self.known.names(&self.lost),
            cluster_id: self.known.state.cluster_id().to_string(),
            new_cluster_id: new_id.map(|id| id.to_string()),
            groups: groups.collect::<Result<_, RecoverError>>()?,
        })
    }

    fn entry_of(&self, which: Which, group: &Recovery) -> Result<RecoveredGroup, RecoverError> {
        let (shard, clock_ms) = match which {
            Which::System => (None, self.known.state.changed_ms()),
            Which::Shard(shard) => (Some(shard), clock_of(group.latest(&numbers_key())?.as_deref())?),
        };
        let survivor = group.survivor();
        Ok(RecoveredGroup {
            shard,
            term: survivor.last.term,
            index: survivor.last.index,
            committed: survivor.committed.index,
            clock_ms: Some(clock_ms).filter(|clock_ms| *clock_ms > 0),
            voters: self.known.names(survivor.voters.iter().flatten()),
        })
    }
}

#[cfg(test)]
mod tests;
