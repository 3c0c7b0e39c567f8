//! The file `identity`.

use std::{io, num::NonZeroU32, path::Path, str::FromStr};

use super::{ClusterId, FILE, IdentityError, Incarnation};
use crate::{
    consensus::RaftId,
    volume::{self, Sealed},
};

/// The format that this release writes, and the only one that it reads.
const FORMAT: u32 = 1;

const TITLE: &str = "playhouse identity";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) raft_id: RaftId,
    pub(super) cluster_id: Option<ClusterId>,
    pub(super) shards: NonZeroU32,
    pub(super) incarnation: Incarnation,
    /// The state on the volume came from a backup of this cluster.
    pub(super) restored_from: Option<ClusterId>,
}

impl Record {
    /// None: there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, IdentityError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &String::from_utf8_lossy(&bytes)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(IdentityError::io(path, error)),
        }
    }

    /// Replaces the file; durable when it returns.
    pub(super) fn write(&self, path: &Path) -> Result<(), IdentityError> {
        volume::replace(path, &self.to_text()).map_err(|error| IdentityError::io(path, error))
    }

    fn to_text(&self) -> String {
        let mut sealed = Sealed::new(TITLE);
        sealed.set("format", FORMAT);
        sealed.set("name", &self.name);
        sealed.set("raft_id", format!("{:016x}", self.raft_id.0));
        sealed.set("cluster_id", self.cluster_id.map_or("-".to_owned(), |id| id.to_string()));
        sealed.set("shards", self.shards);
        sealed.set("incarnation", self.incarnation.0);
        if let Some(cluster_id) = self.restored_from {
            sealed.set("restored_from", cluster_id);
        }
        sealed.to_text()
    }

    fn parse(path: &Path, text: &str) -> Result<Self, IdentityError> {
        let damaged = |reason: String| IdentityError::Damaged { path: path.to_owned(), reason };
        let sealed = Sealed::parse(TITLE, text).map_err(|damage| damaged(damage.to_string()))?;
        let format = sealed.field("format").unwrap_or("unknown");
        if format != FORMAT.to_string() {
            let (path, found) = (path.to_owned(), format.to_owned());
            return Err(IdentityError::ForeignFormat { path, found, supported: FORMAT });
        }
        Self::from_fields(&sealed).map_err(|field| damaged(format!("{field} is missing or wrong")))
    }

    /// Fails with the name of the field that is missing or wrong.
    fn from_fields(sealed: &Sealed) -> Result<Self, &'static str> {
        let cluster_id = match sealed.field("cluster_id") {
            Some("-") => None,
            _ => Some(parsed(sealed, "cluster_id")?),
        };
        let raft_id = sealed.field("raft_id").and_then(|text| u64::from_str_radix(text, 16).ok());
        Ok(Self {
            name: parsed(sealed, "name")?,
            raft_id: raft_id.filter(|id| *id != 0).map(RaftId).ok_or("raft_id")?,
            cluster_id,
            shards: parsed(sealed, "shards")?,
            incarnation: Incarnation(parsed(sealed, "incarnation")?),
            restored_from: sealed
                .field("restored_from")
                .map(|_| parsed(sealed, "restored_from"))
                .transpose()?,
        })
    }
}

fn parsed<T: FromStr>(sealed: &Sealed, name: &'static str) -> Result<T, &'static str> {
    sealed.field(name).and_then(|text| text.parse().ok()).ok_or(name)
}

/// Whether nothing is on the volume but what an interrupted first start may have left.
pub(super) fn is_unused(folder: &Path) -> io::Result<bool> {
    volume::is_empty_but_for(folder, &volume::temporary(Path::new(FILE)))
}
