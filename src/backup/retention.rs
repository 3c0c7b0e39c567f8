//! Which backups of a folder are kept, and the end of the others.
//!
//! Only what is a backup by its manifest is counted, and only that is removed: whatever else lies there stays. A backup that is
//! being removed has its unfinished name first, so that no half of one is ever taken for a whole.

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use super::{
    BackupError,
    folder::{Backup, MANIFEST, unfinished_name},
};

/// What became of the backups in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Those that are left, the oldest first.
    pub kept: Vec<PathBuf>,
    /// Those that are gone, the oldest first.
    pub removed: Vec<PathBuf>,
    /// What interrupted runs left: gone, too, if that was asked for.
    pub unfinished: Vec<PathBuf>,
}

/// Whether the remains of interrupted runs go, too. One that is being written looks the same, so only who knows that none is
/// may say [`Remove`](Self::Remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// They stay.
    Keep,
    /// They go.
    Remove,
}

/// Keeps the newest backups in `folder`, `keep` of each cluster, and removes the others.
///
/// # Errors
///
/// When the folder, or a manifest in it, cannot be read: nothing is removed then. When one cannot be removed: it, and those after
/// it, are still there, the first of them perhaps under its unfinished name.
pub fn prune(folder: &Path, keep: NonZeroUsize, unfinished: Unfinished) -> Result<Pruned, BackupError> {
    let Found { clusters, unfinished: remains } = Found::look(folder)?;
    let mut pruned = Pruned { unfinished: remains, ..Pruned::default() };
    for mut backups in clusters.into_values() {
        backups.sort();
        let old = backups.len().saturating_sub(keep.get());
        let mut paths = backups.into_iter().map(|(_, path)| path);
        pruned.removed.extend(paths.by_ref().take(old));
        pruned.kept.extend(paths);
    }
    for path in &pruned.removed {
        let remains = unfinished_name(path);
        fs::rename(path, &remains).map_err(BackupError::io(path))?;
        fs::remove_dir_all(&remains).map_err(BackupError::io(&remains))?;
    }
    if unfinished == Unfinished::Remove {
        for path in &pruned.unfinished {
            fs::remove_dir_all(path).map_err(BackupError::io(path))?;
        }
    }
    Ok(pruned)
}

/// What there is before anything is removed.
#[derive(Default)]
struct Found {
    /// Backups of each cluster, with their ends.
    clusters: BTreeMap<String, Vec<(u64, PathBuf)>>,
    unfinished: Vec<PathBuf>,
}

impl Found {
    fn look(folder: &Path) -> Result<Self, BackupError> {
        let failed = BackupError::io(folder);
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            // Not through links: what they lead to is elsewhere. A new file system has a folder of its own, which nobody may read.
            if entry.file_name() != "lost+found" && entry.file_type().map_err(&failed)?.is_dir() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        let mut found = Self::default();
        for path in paths {
            found.add(path)?;
        }
        Ok(found)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), BackupError> {
        if path.extension().is_some_and(|extension| extension == "unfinished") {
            self.unfinished.push(path);
            return Ok(());
        }
        match Backup::open(&path) {
            Ok(backup) => {
                let manifest = backup.manifest();
                let of_cluster = self.clusters.entry(manifest.cluster_id.clone()).or_default();
                of_cluster.push((manifest.ended_ms, path));
                Ok(())
            }
            Err(BackupError::Io { path, source }) if is_missing(&path, &source) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A folder without a manifest is something else.
fn is_missing(path: &Path, source: &io::Error) -> bool {
    source.kind() == io::ErrorKind::NotFound && path.ends_with(MANIFEST)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BackupWriter, FORMAT, Manifest},
        *,
    };

    /// A backup without shards that ended then.
    fn write(path: &Path, cluster: &str, ended_ms: u64) {
        let manifest = Manifest {
            format: FORMAT,
            cluster_id: cluster.to_owned(),
            shards: 1,
            release: "0.1.0".to_owned(),
            schemas: [].into(),
            began_ms: 1,
            ended_ms,
            files: Vec::new(),
            checksum: String::new(),
        };
        let header = super::super::Header {
            format: FORMAT,
            cluster_id: cluster.to_owned(),
            shard: 0,
            shards: 1,
            term: 1,
            index: 1,
            taken_ms: ended_ms,
        };
        let mut backup = BackupWriter::begin(path, manifest).unwrap();
        let shard = backup.shard(&header).unwrap();
        backup.end_shard(&header, shard).unwrap();
        backup.finish().unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn keep(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    #[test]
    fn the_newest_of_each_cluster_stay_whatever_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, cluster, ended) in
            [("c", "a1", 1), ("b", "a1", 2), ("a", "a1", 3), ("z", "a1", 4), ("old", "b2", 0)]
        {
            write(&at(name), cluster, ended);
        }
        let pruned = prune(folder.path(), keep(2), Unfinished::Keep).unwrap();
        assert_eq!(pruned.removed, [at("c"), at("b")]);
        assert_eq!(pruned.kept, [at("a"), at("z"), at("old")]);
        assert_eq!(names(folder.path()), ["a", "old", "z"]);
    }

    /// A folder for people, a file, a link to a backup elsewhere.
    #[test]
    fn what_is_no_backup_stays() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        write(&elsewhere.path().join("far"), "a1", 1);
        write(&at("1"), "a1", 2);
        write(&at("2"), "a1", 3);
        fs::create_dir(at("notes")).unwrap();
        fs::write(at("notes/read.me"), "x").unwrap();
        fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("far"), at("link")).unwrap();
        fs::create_dir(at("3.unfinished")).unwrap();

        let pruned = prune(folder.path(), keep(1), Unfinished::Keep).unwrap();
        assert_eq!((pruned.removed, pruned.unfinished), (vec![at("1")], vec![at("3.unfinished")]));
        assert_eq!(names(folder.path()), ["2", "3.unfinished", "file", "link", "notes"]);
        Backup::open(&elsewhere.path().join("far")).unwrap().verify().unwrap();

        prune(folder.path(), keep(1), Unfinished::Remove).unwrap();
        assert_eq!(names(folder.path()), ["2", "file", "link", "notes"]);
    }

    /// Which one is the newest is not known then.
    #[test]
    fn a_manifest_that_cannot_be_read_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        for (name, ended) in [("1", 1), ("2", 2), ("3", 3)] {
            write(&folder.path().join(name), "a1", ended);
        }
        fs::write(folder.path().join("2").join(MANIFEST), "{").unwrap();
        let error = prune(folder.path(), keep(1), Unfinished::Remove).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        assert_eq!(names(folder.path()), ["1", "2", "3"]);
    }

    /// On a volume with ext4 that folder is root's: to look into it ended every pruning.
    #[test]
    fn the_folder_of_the_file_system_is_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        for (name, ended) in [("1", 1), ("2", 2)] {
            write(&folder.path().join(name), "a1", ended);
        }
        let lost = folder.path().join("lost+found");
        fs::create_dir(&lost).unwrap();
        // Whoever looks fails, root too.
        fs::write(lost.join(MANIFEST), "{").unwrap();
        prune(folder.path(), keep(1), Unfinished::Remove).unwrap();
        assert_eq!(names(folder.path()), ["2", "lost+found"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(matches!(prune(&missing, keep(1), Unfinished::Keep), Err(BackupError::Io { .. })));
    }
}
