//! Who this node is: what its volume says, checked against what the node was told.
//!
//! Comes in: the folder of the volume, and the name and number of shards from the configuration. Leaves: an
//! [`Identity`] that no other process uses, with a new, durable [`Incarnation`]. On the volume lies the file
//! `identity`, for people to read:
//!
//! ```text
//! playhouse identity
//! format = 1
//! name = playhouse-0
//! raft_id = 5a3c91e07f26b8d4
//! cluster_id = 00f3…              32 hexadecimal digits, or "-" until the node joined a cluster
//! shards = 128
//! incarnation = 1700000000000
//! restored_from = 77c2…           the cluster whose backup was put on the volume; mostly there is no such line
//! checksum = 8f1d…                xxh3_64 of all lines above
//! ```
//!
//! * **Nothing on disk is changed to resolve a mismatch**: every refusal leaves the volume as it was.
//! * **A Raft id is drawn once per volume**, so it never returns with an empty log.
//! * **An incarnation is on disk before it is used**, and is greater than every earlier one of this volume.

mod error;
mod file;
mod offline;

use std::{
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

pub use error::IdentityError;
pub use offline::{StoppedVolume, VolumeDraft};

use self::file::Record;
use crate::{consensus::RaftId, environment::Environment, volume};

/// Name of the file on the volume.
pub const FILE: &str = "identity";

/// A cluster, drawn at random when it is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for ClusterId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A start of a node: greater than every earlier start with the same volume. Milliseconds since the Unix epoch,
/// unless the clock ran back or the node started twice within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Incarnation(pub u64);

/// What the node was told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name of the node, which is the name of its pod. One line, not empty.
    pub name: String,
    /// The number of shards of the cluster, fixed for ever when the cluster is formed.
    pub shards: NonZeroU32,
    /// The cluster that the node must belong to. None: any. A volume of no cluster joins no other one.
    pub cluster_id: Option<ClusterId>,
}

/// Who this node is. The volume belongs to this process as long as this lives.
#[derive(Debug)]
pub struct Identity {
    path: PathBuf,
    record: Record,
    /// The only cluster that it may join.
    wanted: Option<ClusterId>,
    previous: Incarnation,
    is_new: bool,
    _in_use: volume::Lock,
}

impl Identity {
    /// Reads who this node is from the volume in `folder`, or draws a new identity if the volume is empty; then
    /// makes a new incarnation durable.
    ///
    /// ```
    /// use playhouse_cluster::{environment::Environment, identity::{Identity, Wanted}};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let volume = tempfile::tempdir().unwrap();
    /// let environment = Environment::simulated(1);
    /// let wanted = Wanted { name: "playhouse-0".into(), shards: 128.try_into().unwrap(), cluster_id: None };
    ///
    /// let first = Identity::open_or_create(volume.path(), &wanted, &environment).unwrap();
    /// let (raft_id, incarnation) = (first.raft_id(), first.incarnation());
    /// drop(first);
    ///
    /// let second = Identity::open_or_create(volume.path(), &wanted, &environment).unwrap();
    /// assert_eq!(second.raft_id(), raft_id);
    /// assert!(second.incarnation() > incarnation);
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// When the volume belongs to another node or cluster, is used by another process, is damaged, or cannot be
    /// read or written. Nothing was changed.
    pub fn open_or_create(
        folder: &Path,
        wanted: &Wanted,
        environment: &Environment,
    ) -> Result<Self, IdentityError> {
        check_name(&wanted.name)?;
        volume::create_folder(folder).map_err(|error| IdentityError::io(folder, error))?;
        let in_use = volume::Lock::take(folder).map_err(|error| IdentityError::in_use(folder, error))?;
        let path = folder.join(FILE);
        let found = Record::read(&path)?;
        let is_new = found.is_none();
        let mut record = match found {
            Some(record) => agreed(&path, record, wanted)?,
            None => new_record(folder, wanted, environment)?,
        };
        let previous = record.incarnation;
        record.incarnation = next_incarnation(previous, environment.wall_ms());
        record.write(&path)?;
        Ok(Self { path, record, wanted: wanted.cluster_id, previous, is_new, _in_use: in_use })
    }

    /// Joins a cluster for ever; durable when it returns. Joining the same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`IdentityError::OtherCluster`] when the volume already belongs to another; [`IdentityError::Io`] when
    /// the disk refused: then it is unknown whether the volume belongs to it.
    pub fn adopt_cluster_id(&mut self, cluster_id: ClusterId) -> Result<(), IdentityError> {
        match self.record.cluster_id {
            Some(found) if found == cluster_id => Ok(()),
            Some(found) => {
                let path = self.path.clone();
                Err(IdentityError::OtherCluster { path, found, wanted: cluster_id })
            }
            None if self.wanted.is_some_and(|wanted| wanted != cluster_id) => {
                let path = self.path.clone();
                let wanted = self.wanted.expect("it was just compared");
                Err(IdentityError::OtherCluster { path, found: cluster_id, wanted })
            }
            None => {
                let record = Record { cluster_id: Some(cluster_id), ..self.record.clone() };
                record.write(&self.path)?;
                self.record = record;
                Ok(())
            }
        }
    }

    /// The name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The identity of this volume in Raft.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.record.raft_id
    }

    /// The cluster that the volume belongs to, if it joined one.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.record.cluster_id
    }

    /// The number of shards of the cluster.
    #[must_use]
    pub fn shards(&self) -> NonZeroU32 {
        self.record.shards
    }

    /// This start of the node.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.record.incarnation
    }

    /// The start before this one, as the volume said; zero at the first. It is older than what the cluster knows if the
    /// volume was restored from a copy.
    #[must_use]
    pub fn previous_incarnation(&self) -> Incarnation {
        self.previous
    }

    /// The cluster whose backup the state on this volume came from, if it did. Such a volume founds a cluster; it joins none.
    #[must_use]
    pub fn restored_from(&self) -> Option<ClusterId> {
        self.record.restored_from
    }

    /// Whether the volume was empty at this start.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

fn check_name(name: &str) -> Result<(), IdentityError> {
    let is_good = !name.is_empty() && !name.contains(char::is_control);
    is_good.then_some(()).ok_or_else(|| IdentityError::BadName { name: name.to_owned() })
}

/// The record, if the volume is the one that the node was told about.
fn agreed(path: &Path, record: Record, wanted: &Wanted) -> Result<Record, IdentityError> {
    let path = || path.to_owned();
    if record.name != wanted.name {
        let (found, wanted) = (record.name, wanted.name.clone());
        return Err(IdentityError::OtherName { path: path(), found, wanted });
    }
    if record.shards != wanted.shards {
        let (found, wanted) = (record.shards, wanted.shards);
        return Err(IdentityError::OtherShards { path: path(), found, wanted });
    }
    match (record.cluster_id, wanted.cluster_id) {
        (Some(found), Some(wanted)) if found != wanted => {
            Err(IdentityError::OtherCluster { path: path(), found, wanted })
        }
        _ => Ok(record),
    }
}

/// Who a node with an empty volume is.
fn new_record(folder: &Path, wanted: &Wanted, environment: &Environment) -> Result<Record, IdentityError> {
    if !file::is_unused(folder).map_err(|error| IdentityError::io(folder, error))? {
        return Err(IdentityError::Missing { path: folder.join(FILE) });
    }
    Ok(Record {
        name: wanted.name.clone(),
        raft_id: draw_raft_id(environment),
        cluster_id: None,
        shards: wanted.shards,
        incarnation: Incarnation(0),
        restored_from: None,
    })
}

/// Never zero: that is how others write "nobody".
fn draw_raft_id(environment: &Environment) -> RaftId {
    let mut drawn = std::iter::repeat_with(|| environment.random_u64());
    RaftId(drawn.find(|id| *id != 0).expect("not every random number is zero"))
}

fn next_incarnation(previous: Incarnation, wall_ms: u64) -> Incarnation {
    Incarnation(wall_ms.max(previous.0.saturating_add(1)))
}

#[cfg(test)]
mod tests;
