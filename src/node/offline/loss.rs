//! Goes on with the replica of one volume after a majority was lost for good.
//!
//! Either one shard lost its majority while the system group lives: then that shard goes on with the replica on this volume, and
//! the cluster learns of it from its leader. Nothing but this volume may hold a replica that could go on by itself: every other
//! voter, by the log and by the configuration, is said to be lost, and the cluster has already agreed that its volume never comes
//! back. Or the system group lost its majority, too: then everything goes on with this
//! volume, under a new cluster id, so that nothing of the old cluster can reach the new one.
//!
//! Without consent nothing is changed; what would be given up is told. With it, the record of recoveries is written first, then
//! the identity of the volume, then all groups at once. Interrupted in between, the node starts with what it had, or not at all,
//! and the same command finishes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use playhouse_cluster::{
    consensus::{GroupId, OpenError, RaftId, Recovery},
    environment::Environment,
    identity::{ClusterId, IdentityError, StoppedVolume},
    membership::{ClusterState, Loss, MemberState, Refusal, Which},
    store::{Batch, Store, StoreError},
};

use super::{Audit, AuditEntry, AuditError, RecoveredGroup, block_on};
use crate::{
    node::{
        RELEASE, Settings,
        cluster::system::{KEY, SYSTEM},
        open_store,
    },
    shard::{clock_of, numbers_after_loss, numbers_key},
};

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossWanted {
    /// The shard that goes on; `None`: everything, the system group included.
    pub shard: Option<u32>,
    /// The names of the members that never come back.
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

/// Nothing was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The volume cannot be used. Nothing was changed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The volume was never part of a cluster.
    #[error("the volume belongs to no cluster, or does not know its configuration; nothing was changed")]
    NoCluster,
    /// A name means nobody.
    #[error("no member is called {name}; the members are {members}; nothing was changed")]
    Unknown {
        /// Which name.
        name: String,
        /// Who there is.
        members: String,
    },
    /// The volume itself cannot be lost.
    #[error("{name} is the node of this volume, which is to go on; nothing was changed")]
    Own {
        /// Its name.
        name: String,
    },
    /// The majority is there.
    #[error(
        "{which} has a majority without {lost}: {left}; nothing was changed. Start them, and it goes on by itself"
    )]
    HasQuorum {
        /// Which group.
        which: String,
        /// Who is said to be lost.
        lost: String,
        /// Who is not.
        left: String,
    },
    /// The system group is lost, too.
    #[error(
        "the system group lost its majority as well, and no shard can go on without it; nothing was changed. Recover everything \
         with --all"
    )]
    SystemLost,
    /// Others have volumes that would not take part.
    #[error(
        "{names} would be left behind: the cluster goes on under a new id, with this volume alone; nothing was changed. Name all \
         members but this one as lost, and give each of them an empty volume"
    )]
    LeftBehind {
        /// Who.
        names: String,
    },
    /// This is not the volume to go on with.
    #[error(
        "this volume has no vote in {which}, so it cannot go on alone; nothing was changed. Use the volume of one of {voters}"
    )]
    NoReplica {
        /// Which group.
        which: String,
        /// Whose volumes have one.
        voters: String,
    },
    /// Others have replicas of the shard that could go on, too.
    #[error(
        "{names} would be left behind: {which} has replicas there as well, and goes on with one only; nothing was changed. Choose \
         one volume, name all others as lost, and give each of those an empty volume"
    )]
    OthersLeft {
        /// Which group.
        which: String,
        /// Who.
        names: String,
    },
    /// The cluster would let a lost volume come back.
    #[error(
        "the cluster, as far as this volume knows, would still accept the old volumes of {names}, and {which} could go on there \
         at the same time; nothing was changed. Start this node and give each of those names an empty volume: when `playhouse \
         status` shows them as up, the cluster never accepts the old ones again. Then stop this node, and give the same command \
         again"
    )]
    NotFenced {
        /// Which group.
        which: String,
        /// Whose.
        names: String,
    },
    /// There is no such shard.
    #[error("there is no shard {shard}; there are {shards}; nothing was changed")]
    NoSuchShard {
        /// Which.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// The record cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The configuration after the loss makes no sense.
    #[error("the configuration does not allow it: {0}")]
    Refused(Refusal),
    /// The store cannot be read or written. The same command may be given again.
    #[error("the store could not be used; give the same command again")]
    Store(#[from] StoreError),
    /// A group cannot be read.
    #[error(transparent)]
    Group(#[from] OpenError),
    /// The configuration cannot be read.
    #[error("the configuration on the volume cannot be read: {0}; nothing was changed")]
    Format(String),
    /// Threads could not be started. Nothing was changed.
    #[error("could not start; nothing was changed")]
    Io(#[from] io::Error),
}

/// Tells what would be given up, or does it.
///
/// # Errors
///
/// [`RecoverError`]; each says what was changed.
pub fn recover(settings: &Settings, wanted: &LossWanted) -> Result<LossReport, RecoverError> {
    block_on(|environment| async move {
        let mut volume = StoppedVolume::open(&settings.data_dir)?;
        let audit = Audit::of(&settings.data_dir);
        audit.read()?;
        let store = open_store(&settings.data_dir, settings, &environment).await?;
        let recovered = match Case::read(&store, &volume, wanted).await {
            Ok(case) => case.recover(&mut volume, &audit, &environment, wanted.has_consent).await,
            Err(error) => Err(error),
        };
        store.release().await;
        recovered
    })?
}

/// What there is, and what is lost.
struct Case {
    store: Store,
    own: RaftId,
    name: String,
    state: ClusterState,
    lost: BTreeSet<RaftId>,
    groups: BTreeMap<Which, Recovery>,
    is_whole: bool,
}

impl Case {
    async fn read(store: &Store, volume: &StoppedVolume, wanted: &LossWanted) -> Result<Self, RecoverError> {
        let system = Recovery::open(store, SYSTEM).await?.ok_or(RecoverError::NoCluster)?;
        let stored = system.latest(KEY)?.ok_or(RecoverError::NoCluster)?;
        let state = ClusterState::decode(&stored).map_err(|error| RecoverError::Format(error.to_string()))?;
        let mut case = Self {
            store: store.clone(),
            own: volume.raft_id(),
            name: volume.name().to_owned(),
            lost: BTreeSet::new(),
            groups: BTreeMap::from([(Which::System, system)]),
            is_whole: wanted.shard.is_none(),
            state,
        };
        match wanted.shard {
            Some(shard) => case.one(shard, &wanted.lost).await?,
            None => case.all(&wanted.lost).await?,
        }
        Ok(case)
    }

    /// One shard goes on here; the rest of the cluster lives.
    async fn one(&mut self, shard: u32, lost: &BTreeSet<String>) -> Result<(), RecoverError> {
        let shards = self.state.shards();
        if shard >= shards {
            return Err(RecoverError::NoSuchShard { shard, shards });
        }
        let which = Which::Shard(shard);
        for name in lost {
            self.check_name(name)?;
        }
        self.add(which).await?;
        let others = self.others(which);
        self.lost = self.lost_of(&others, lost);
        self.check_lost(which)?;
        match self.check_lost(Which::System) {
            Err(RecoverError::HasQuorum { .. }) => {}
            _ => return Err(RecoverError::SystemLost),
        }
        self.check_fenced(which, &others)?;
        self.groups.remove(&Which::System);
        Ok(())
    }

    /// Everything goes on here, under an id that no other volume knows.
    async fn all(&mut self, lost: &BTreeSet<String>) -> Result<(), RecoverError> {
        for name in lost {
            self.lost.insert(self.check_name(name)?);
        }
        self.check_lost(Which::System)?;
        let stays = |raft_id: &RaftId| *raft_id == self.own || self.lost.contains(raft_id);
        let members = self.state.members().values();
        let behind = members.filter(|member| member.state != MemberState::Left && !stays(&member.raft_id));
        let names: Vec<_> = behind.map(|member| member.name.as_str()).collect();
        if !names.is_empty() {
            return Err(RecoverError::LeftBehind { names: names.join(", ") });
        }
        for shard in 0..self.state.shards() {
            self.add(Which::Shard(shard)).await?;
        }
        Ok(())
    }

    /// The member that has the name now. It is not this one.
    fn check_name(&self, name: &str) -> Result<RaftId, RecoverError> {
        let names = || self.state.members().values().map(|member| member.name.as_str());
        let unknown = || RecoverError::Unknown {
            name: name.to_owned(),
            members: names().collect::<Vec<_>>().join(", "),
        };
        let member = self.state.member_named(name).ok_or_else(unknown)?;
        if member.raft_id == self.own {
            return Err(RecoverError::Own { name: name.to_owned() });
        }
        Ok(member.raft_id)
    }

    /// Every other volume that has, or may soon have, a replica with a vote: by the log here, and by the configuration, of which
    /// one may know of moves that the other has not seen.
    fn others(&self, which: Which) -> BTreeSet<RaftId> {
        let logged = self.groups[&which].survivor().voters.iter().flatten();
        let replicas = self.state.replicas(which);
        let mapped = replicas.into_iter().flat_map(|it| &it.voters);
        let wanted = replicas.and_then(|it| it.wanted.as_ref()).into_iter().flat_map(|it| &it.voters);
        logged.chain(mapped).chain(wanted).copied().filter(|id| *id != self.own).collect()
    }

    /// The volumes that are lost with these names: those that the names had before, and those that they have now if they are
    /// among `others`. The name of a lost volume may belong to an empty one by now, which is not lost. What this very name had
    /// before is gone as well.
    fn lost_of(&self, others: &BTreeSet<RaftId>, names: &BTreeSet<String>) -> BTreeSet<RaftId> {
        let is_named = |name: &String| names.contains(name) || *name == self.name;
        let former = self.state.former().iter().filter(|former| is_named(&former.name));
        let named = |id: &&RaftId| self.state.member(**id).is_some_and(|member| is_named(&member.name));
        former.map(|former| former.raft_id).chain(others.iter().filter(named).copied()).collect()
    }

    /// No other volume can go on with the group: each is lost, and the cluster knows that.
    fn check_fenced(&self, which: Which, others: &BTreeSet<RaftId>) -> Result<(), RecoverError> {
        let left: Vec<_> = others.difference(&self.lost).collect();
        if !left.is_empty() {
            let names = self.names(left).join(", ");
            return Err(RecoverError::OthersLeft { which: which.to_string(), names });
        }
        let is_former = |id: &RaftId| self.state.former().iter().any(|former| former.raft_id == *id);
        let unfenced: Vec<_> = others.iter().filter(|id| !is_former(id)).collect();
        if !unfenced.is_empty() {
            let names = self.names(unfenced).join(", ");
            return Err(RecoverError::NotFenced { which: which.to_string(), names });
        }
        Ok(())
    }

    /// Reads the replica of a group that is to go on.
    async fn add(&mut self, which: Which) -> Result<(), RecoverError> {
        let Which::Shard(shard) = which else { return Ok(()) };
        let found = Recovery::open(&self.store, GroupId(shard)).await?;
        let votes = |group: &Recovery| group.survivor().votes(self.own);
        let Some(group) = found.filter(votes) else {
            let voters = self.state.replicas(which).map(|replicas| &replicas.voters);
            let voters = self.names(voters.into_iter().flatten()).join(", ");
            return Err(RecoverError::NoReplica { which: which.to_string(), voters });
        };
        self.groups.insert(which, group);
        Ok(())
    }

    /// Whether the majority of a group is lost: by the voters that its own log says, or, for a shard, by those of the
    /// configuration, if the log misses the last moves. A group of one lacks nobody.
    fn check_lost(&self, which: Which) -> Result<(), RecoverError> {
        let survivor = self.groups[&which].survivor();
        let is_alone = survivor.voters == [BTreeSet::from([self.own])];
        if survivor.is_lost_without(&self.lost) || !is_alone && self.is_lost_by_map(which) {
            return Ok(());
        }
        let (lost, left): (Vec<_>, Vec<_>) =
            survivor.voters.iter().flatten().partition(|voter| self.lost.contains(voter));
        Err(RecoverError::HasQuorum {
            which: which.to_string(),
            lost: if lost.is_empty() { "those that are lost".into() } else { self.names(lost).join(", ") },
            left: self.names(left).join(", "),
        })
    }

    fn is_lost_by_map(&self, which: Which) -> bool {
        let Some(replicas) = self.state.replicas(which).filter(|_| which != Which::System) else {
            return false;
        };
        replicas.voters.difference(&self.lost).count() * 2 <= replicas.voters.len()
    }

    async fn recover(
        &self,
        volume: &mut StoppedVolume,
        audit: &Audit,
        environment: &Environment,
        has_consent: bool,
    ) -> Result<LossReport, RecoverError> {
        let new_id = self.is_whole.then(|| ClusterId(environment.random_u128()));
        let mut entry = self.entry(environment, new_id)?;
        if has_consent {
            let batch = self.batch(&entry, new_id, environment.wall_ms())?;
            audit.add(&entry)?;
            if let Some(cluster_id) = new_id {
                volume.move_to_cluster(cluster_id)?;
            }
            self.store.commit(batch).await?;
            entry.is_done = true;
            audit.add(&entry)?;
        }
        let unconfirmed = entry.groups.iter().map(|group| group.index.saturating_sub(group.committed)).sum();
        Ok(LossReport { entry, unconfirmed })
    }

    /// Everything that changes, for all groups at once.
    fn batch(
        &self,
        entry: &AuditEntry,
        new_id: Option<ClusterId>,
        now_ms: u64,
    ) -> Result<Batch, RecoverError> {
        let mut batch = Batch::new();
        for group in &entry.groups {
            let which = group.which();
            let mut changes = Batch::new();
            if let (Which::System, Some(cluster_id)) = (which, new_id) {
                let next =
                    self.state.after_loss(&self.loss(cluster_id), now_ms).map_err(RecoverError::Refused)?;
                let encoded = next.encode().map_err(|error| RecoverError::Format(error.to_string()))?;
                changes.put(KEY, encoded);
            }
            if let Which::Shard(_) = which {
                let stored = self.groups[&which].latest(&numbers_key())?;
                changes.put(numbers_key(), numbers_after_loss(stored.as_deref())?);
            }
            self.groups[&which].write(self.own, &changes, &mut batch)?;
        }
        Ok(batch)
    }

    fn loss(&self, cluster_id: ClusterId) -> Loss {
        let recovered = self.groups.iter().map(|(which, group)| (*which, group.index()));
        Loss { survivor: self.own, lost: self.lost.clone(), recovered: recovered.collect(), cluster_id }
    }

    fn entry(
        &self,
        environment: &Environment,
        new_id: Option<ClusterId>,
    ) -> Result<AuditEntry, RecoverError> {
        let groups = self.groups.iter().map(|(which, group)| self.entry_of(*which, group));
        let groups = groups.collect::<Result<_, RecoverError>>()?;
        Ok(AuditEntry {
            at_ms: environment.wall_ms(),
            is_done: false,
            release: RELEASE.to_owned(),
            node: self.name.clone(),
            lost: self.names(&self.lost),
            cluster_id: self.state.cluster_id().to_string(),
            new_cluster_id: new_id.map(|id| id.to_string()),
            groups,
        })
    }

    fn entry_of(&self, which: Which, group: &Recovery) -> Result<RecoveredGroup, RecoverError> {
        let (shard, clock_ms) = match which {
            Which::System => (None, self.state.changed_ms()),
            Which::Shard(shard) => (Some(shard), clock_of(group.latest(&numbers_key())?.as_deref())?),
        };
        let survivor = group.survivor();
        Ok(RecoveredGroup {
            shard,
            term: survivor.last.term,
            index: survivor.last.index,
            committed: survivor.committed.index,
            clock_ms: Some(clock_ms).filter(|clock_ms| *clock_ms > 0),
            voters: self.names(survivor.voters.iter().flatten()),
        })
    }

    fn names<'a>(&self, ids: impl IntoIterator<Item = &'a RaftId>) -> Vec<String> {
        let former = |id: &RaftId| self.state.former().iter().find(|former| former.raft_id == *id);
        let member = |id: &RaftId| self.state.member(*id).map(|member| member.name.clone());
        let name = |id: &RaftId| member(id).or_else(|| former(id).map(|former| former.name.clone()));
        let mut names: Vec<_> =
            ids.into_iter().map(|id| name(id).unwrap_or_else(|| format!("{:016x}", id.0))).collect();
        names.sort();
        names.dedup();
        names
    }
}
