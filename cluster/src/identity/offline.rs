//! A volume in the hands of an operator: no node runs on it meanwhile.

use std::path::{Path, PathBuf};

use super::{
    ClusterId, FILE, IdentityError, Incarnation, Wanted, check_name, draw_raft_id,
    file::{self, Record},
};
use crate::{consensus::RaftId, environment::Environment, volume};

/// The volume of a node that was stopped. It belongs to this process as long as this lives, so the node cannot start.
#[derive(Debug)]
pub struct StoppedVolume {
    path: PathBuf,
    record: Record,
    _in_use: volume::Lock,
}

impl StoppedVolume {
    /// Takes the volume in `folder`.
    ///
    /// # Errors
    ///
    /// When a node runs on it, there is none, or it cannot be read. Nothing was changed.
    pub fn open(folder: &Path) -> Result<Self, IdentityError> {
        let in_use = volume::Lock::take(folder).map_err(|error| IdentityError::in_use(folder, error))?;
        let path = folder.join(FILE);
        let record = Record::read(&path)?.ok_or_else(|| IdentityError::Missing { path: path.clone() })?;
        Ok(Self { path, record, _in_use: in_use })
    }

    /// The name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The identity of the volume in Raft.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.record.raft_id
    }

    /// The cluster that it belongs to, if any.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.record.cluster_id
    }

    /// The number of shards of the cluster.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.record.shards.get()
    }

    /// From now on it belongs to another cluster; durable when it returns. Only for a cluster that goes on under a new id
    /// because the rest of it was lost.
    ///
    /// # Errors
    ///
    /// When the disk refused: then it is unknown to which it belongs.
    pub fn move_to_cluster(&mut self, cluster_id: ClusterId) -> Result<(), IdentityError> {
        let record = Record { cluster_id: Some(cluster_id), ..self.record.clone() };
        record.write(&self.path)?;
        self.record = record;
        Ok(())
    }
}

/// An empty volume that is being filled before its first node starts. Nothing says whose it is before
/// [`finish`](Self::finish): what was interrupted is refused at a start, and stays.
#[derive(Debug)]
pub struct VolumeDraft {
    path: PathBuf,
    record: Record,
    _in_use: volume::Lock,
}

impl VolumeDraft {
    /// Takes the empty folder `folder`, or creates it, and draws an identity. What it is filled with is from a backup of the
    /// cluster `restored_from`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotEmpty`] when something is there; or when the operating system refuses.
    pub fn begin(
        folder: &Path,
        wanted: &Wanted,
        restored_from: ClusterId,
        environment: &Environment,
    ) -> Result<Self, IdentityError> {
        check_name(&wanted.name)?;
        volume::create_folder(folder).map_err(|error| IdentityError::io(folder, error))?;
        let in_use = volume::Lock::take(folder).map_err(|error| IdentityError::in_use(folder, error))?;
        if !file::is_unused(folder).map_err(|error| IdentityError::io(folder, error))? {
            return Err(IdentityError::NotEmpty { path: folder.to_owned() });
        }
        let record = Record {
            name: wanted.name.clone(),
            raft_id: draw_raft_id(environment),
            cluster_id: None,
            shards: wanted.shards,
            incarnation: Incarnation(0),
            restored_from: Some(restored_from),
        };
        Ok(Self { path: folder.join(FILE), record, _in_use: in_use })
    }

    /// The identity of the volume in Raft.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.record.raft_id
    }

    /// Says whose volume it is; durable when it returns. The next start is the first.
    ///
    /// # Errors
    ///
    /// When the disk refused.
    pub fn finish(self) -> Result<(), IdentityError> {
        self.record.write(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn wanted() -> Wanted {
        Wanted { name: "a".into(), shards: 8.try_into().unwrap(), cluster_id: None }
    }

    fn environment() -> Environment {
        Environment::simulated(1)
    }

    #[tokio::test]
    async fn a_draft_becomes_a_volume_only_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let draft = VolumeDraft::begin(folder.path(), &wanted(), ClusterId(5), &environment()).unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let raft_id = draft.raft_id();
        let started = || Identity::open_or_create(folder.path(), &wanted(), &environment());
        assert!(matches!(started(), Err(IdentityError::InUse { .. })));
        drop(draft);
        assert!(matches!(started(), Err(IdentityError::Missing { .. })), "it was interrupted");
        let again = VolumeDraft::begin(folder.path(), &wanted(), ClusterId(5), &environment());
        assert!(matches!(again, Err(IdentityError::NotEmpty { .. })));

        std::fs::remove_dir(folder.path().join("store")).unwrap();
        let draft = VolumeDraft::begin(folder.path(), &wanted(), ClusterId(5), &environment()).unwrap();
        assert_ne!(draft.raft_id(), RaftId(0));
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let drawn = draft.raft_id();
        draft.finish().unwrap();
        let identity = started().unwrap();
        assert_eq!((identity.raft_id(), identity.cluster_id()), (drawn, None));
        assert_eq!(identity.restored_from(), Some(ClusterId(5)));
        assert_eq!(raft_id, drawn, "the same seed");
    }

    #[tokio::test]
    async fn a_stopped_volume_keeps_everything_but_its_cluster() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(StoppedVolume::open(folder.path()), Err(IdentityError::Missing { .. })));
        let mut identity = Identity::open_or_create(folder.path(), &wanted(), &environment()).unwrap();
        identity.adopt_cluster_id(ClusterId(7)).unwrap();
        let (raft_id, incarnation) = (identity.raft_id(), identity.incarnation());
        assert!(matches!(StoppedVolume::open(folder.path()), Err(IdentityError::InUse { .. })));
        drop(identity);

        let mut stopped = StoppedVolume::open(folder.path()).unwrap();
        assert_eq!((stopped.name(), stopped.raft_id(), stopped.shards()), ("a", raft_id, 8));
        assert_eq!(stopped.cluster_id(), Some(ClusterId(7)));
        stopped.move_to_cluster(ClusterId(8)).unwrap();
        drop(stopped);
        let identity = Identity::open_or_create(folder.path(), &wanted(), &environment()).unwrap();
        assert_eq!((identity.raft_id(), identity.cluster_id()), (raft_id, Some(ClusterId(8))));
        assert_eq!(identity.previous_incarnation(), incarnation);
    }
}
