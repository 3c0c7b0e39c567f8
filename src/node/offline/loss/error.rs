//! Why nothing was recovered.

use std::{error::Error as StdError, io};

use playhouse_cluster::{
    consensus::OpenError, identity::IdentityError, membership::Refusal, store::StoreError,
};

use super::super::AuditError;

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
    /// There is no such shard.
    #[error("there is no shard {shard}; there are {shards}, from 0; nothing was changed")]
    NoSuchShard {
        /// Which.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// The system group is lost, too.
    #[error(
        "the system group lost its majority as well, and no shard can go on without it; nothing was changed. Recover everything \
         with --all"
    )]
    SystemLost,
    /// The cluster has given this very volume up.
    #[error(
        "the cluster has given this volume up: it was replaced, or its node has left, and another replica may have gone on since; \
         nothing was changed. Use the volume of a member, or restore a backup"
    )]
    GivenUp,
    /// Others have replicas of the shard that could go on, too.
    #[error(
        "{names} would be left behind: {which} has replicas there as well, or is about to, and goes on with one only; nothing was \
         changed. Start them first: it may go on by itself. If it does not, choose the volume that has most of it, by the last \
         term and then the last entry (here term {term}, entry {index}), and give each of the others an empty one under its name"
    )]
    OthersLeft {
        /// Which group.
        which: String,
        /// Who.
        names: String,
        /// The term of the last entry on this volume.
        term: u64,
        /// Its index.
        index: u64,
    },
    /// The cluster would let a lost volume come back.
    #[error(
        "as far as this volume knows, the cluster would still accept these volumes, and {which} could go on there at the same time: \
         {volumes}; nothing was changed. Start this node, and under each of those names a node with an empty volume of another Raft \
         id: when `playhouse nodes`, asked here, shows them as up with other Raft ids than those, the cluster never accepts those \
         volumes again. Then stop this node, and give the same command again"
    )]
    NotFenced {
        /// Which group.
        which: String,
        /// Which volumes: names and Raft ids.
        volumes: String,
    },
    /// Lost volumes were being replaced when more were lost, and the new ones may vote already.
    #[error(
        "{which} was about to get replicas on these volumes, which may vote already and have entries that this volume lacks: \
         {volumes}; nothing was changed. Start this node and them first: it may go on by itself. If it does not, give each of them \
         another empty volume, and when `playhouse nodes`, asked here, shows them as up with other Raft ids than those, stop this \
         node, and give the same command again"
    )]
    Arriving {
        /// Which group.
        which: String,
        /// Which volumes: names and Raft ids.
        volumes: String,
    },
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
    /// The groups have too much that is not applied yet.
    #[error(
        "{bytes} bytes would have to be written at once, and {bytes_max} is the most: too much on this volume was never applied; \
         nothing was changed. Use another volume, or restore a backup"
    )]
    TooLarge {
        /// How much it is.
        bytes: usize,
        /// How much it may be.
        bytes_max: usize,
    },
    /// It failed after the first change. Nothing else says that something was changed.
    #[error(
        "the recovery was begun, and that is recorded on the volume, but {step} could not be written: what is there may be neither \
         the old nor the new. Do not start the node; correct what is said below, and give the same command again"
    )]
    Begun {
        /// What could not be written.
        step: &'static str,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The record cannot be read, or its first line not be written.
    #[error("the record of recoveries cannot be used; nothing else was changed")]
    Audit(#[from] AuditError),
    /// The configuration after the loss makes no sense.
    #[error("the configuration does not allow it: {0}")]
    Refused(Refusal),
    /// The store cannot be opened or read.
    #[error("the store could not be used; nothing was changed")]
    Store(#[from] StoreError),
    /// A group cannot be read.
    #[error("a replica on the volume could not be read; nothing was changed")]
    Group(#[from] OpenError),
    /// The configuration cannot be read.
    #[error("the configuration on the volume cannot be read: {0}; nothing was changed")]
    Format(String),
    /// Threads could not be started. Nothing was changed.
    #[error("could not start; nothing was changed")]
    Io(#[from] io::Error),
}

impl RecoverError {
    /// What becomes of an error after the first change. Its own words may tell what to do about a volume as it was before.
    pub(super) fn begun<E: Into<Cause>>(step: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Begun { step, source: error.into().0 }
    }
}

/// What the operating system or the store said.
pub(super) struct Cause(Box<dyn StdError + Send + Sync>);

impl From<IdentityError> for Cause {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Io { source, .. } => Self(source.into()),
            error => Self(error.into()),
        }
    }
}

impl From<AuditError> for Cause {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Io { source, .. } => Self(source.into()),
            error => Self(error.into()),
        }
    }
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sync { reason } => Self(reason.into()),
            StoreError::Hangs { call, seconds } => {
                Self(format!("a {call} has not returned for {seconds} s").into())
            }
            error => Self(error.into()),
        }
    }
}
