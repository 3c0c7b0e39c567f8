//! The folder that `dev` keeps a cluster in.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use playhouse_cluster::environment::Environment;
use serde::{Deserialize, Serialize};

use super::{Exit, Failure};

/// A folder with this file was made by `dev`.
const MARKER: &str = "playhouse-dev.json";
const MARKER_PART: &str = "playhouse-dev.part";
/// The file that each volume of a node has.
const IDENTITY: &str = "identity";
/// Only folders in one of this name are deleted.
const PARENT: &str = ".playhouse";

/// The folder of a cluster, used by no other process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    marker: Marker,
    _lock: File,
}

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    made_by: String,
    /// The nodes that formed the cluster. Later ones joined it.
    members: Vec<String>,
}

impl Folder {
    /// Opens the folder at `path`, or makes it. `fresh`: as if it had been empty.
    pub(super) fn open(
        path: &Path,
        names: &[String],
        fresh: bool,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let path = std::path::absolute(path).map_err(|error| Failure::of_file("find", path, &error))?;
        fs::create_dir_all(&path).map_err(|error| Failure::of_file("make", &path, &error))?;
        let lock = lock(&path)?;
        let mut found = read_marker(&path)?;
        if fresh && found.take().is_some() {
            check_parent(&path)?;
            empty(&path)?;
        }
        let marker = match found {
            Some(marker) => marker,
            None => mark(&path, names)?,
        };
        let folder = Self { path, marker, _lock: lock };
        folder.make_cookie(environment)?;
        Ok(folder)
    }

    /// A file or a folder in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The nodes that formed the cluster.
    pub(super) fn members(&self) -> &[String] {
        &self.marker.members
    }

    pub(super) fn cookie(&self) -> PathBuf {
        self.file("cookie")
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        fs::write(path, text).map_err(|error| Failure::of_file("write", path, &error))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<(), Failure> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::of_file("remove", path, &error))
            }
            _ => Ok(()),
        }
    }

    /// 32 random bytes, as hexadecimal digits, once.
    fn make_cookie(&self, environment: &Environment) -> Result<(), Failure> {
        let path = self.cookie();
        let failed = |error: io::Error| Failure::of_file("write", &path, &error);
        let part = self.file("cookie.part");
        if path.exists() {
            return Ok(());
        }
        let digits = format!("{:032x}{:032x}\n", environment.random_u128(), environment.random_u128());
        self.remove(&part)?;
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&part).map_err(failed)?;
        file.write_all(digits.as_bytes()).map_err(failed)?;
        fs::rename(&part, &path).map_err(failed)
    }
}

/// Deletes the volume of a single node that `dev` made.
pub(super) fn delete_volume(path: &Path) -> Result<(), Failure> {
    let path = std::path::absolute(path).map_err(|error| Failure::of_file("find", path, &error))?;
    if !path.exists() {
        return Ok(());
    }
    let _lock = lock(&path)?;
    check_parent(&path)?;
    if !path.join(IDENTITY).is_file() {
        return Err(foreign(&path));
    }
    empty(&path)
}

fn lock(path: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| Failure::of_file("lock", path, &error);
    let folder = File::open(path).map_err(failed)?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let what = format!("another `playhouse dev` uses {}", path.display());
            Err(Failure::new(Exit::Failed, what)
                .state("nothing was started")
                .next("stop it, or give another --data-dir"))
        }
    }
}

/// `None`: the folder is empty.
fn read_marker(path: &Path) -> Result<Option<Marker>, Failure> {
    let failed = |error: io::Error| Failure::of_file("read", path, &error);
    match fs::read(path.join(MARKER)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| foreign(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries =
                fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            // Its first start may have ended in between.
            let is_empty = entries.iter().all(|entry| entry.file_name() == MARKER_PART);
            if is_empty { Ok(None) } else { Err(foreign(path)) }
        }
        Err(error) => Err(failed(error)),
    }
}

fn mark(path: &Path, names: &[String]) -> Result<Marker, Failure> {
    let marker = Marker { made_by: "playhouse dev".to_owned(), members: names.to_vec() };
    let (file, part) = (path.join(MARKER), path.join(MARKER_PART));
    let text = serde_json::to_string(&marker).unwrap_or_default();
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, &file));
    written.map_err(|error| Failure::of_file("write", &file, &error))?;
    Ok(marker)
}

fn check_parent(path: &Path) -> Result<(), Failure> {
    let is_ours = path.parent().and_then(Path::file_name).is_some_and(|name| name == PARENT);
    if is_ours {
        return Ok(());
    }
    let what = format!("--fresh deletes folders in {PARENT}/ only, and {} is not in one", path.display());
    Err(Failure::new(Exit::Usage, what).state("nothing was deleted or started").next("delete it yourself"))
}

fn foreign(path: &Path) -> Failure {
    let what = format!("{} holds something that `playhouse dev` did not make", path.display());
    Failure::new(Exit::Usage, what)
        .state("nothing was changed or started")
        .next("give another --data-dir, or look what it is")
}

/// Deletes what is in the folder; what says that it is ours goes last, so that it can be deleted again.
fn empty(path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::of_file("empty", path, &error);
    let mut last = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        } else if entry.file_name() == MARKER || entry.file_name() == IDENTITY {
            last.push(entry.path());
        } else {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    last.into_iter().try_for_each(|file| fs::remove_file(file).map_err(failed))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(path: &Path, names: &[&str], fresh: bool) -> Result<Folder, Failure> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Folder::open(path, &names, fresh, &Environment::simulated(1))
    }

    #[tokio::test]
    async fn a_cluster_keeps_its_cookie_and_who_formed_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster");
        let first = open(&path, &["a", "b", "c"], false).unwrap();
        let cookie = fs::read_to_string(first.cookie()).unwrap();
        assert_eq!(cookie.trim().len(), 64);
        assert_eq!(fs::metadata(first.cookie()).unwrap().permissions().mode() & 0o777, 0o600);
        drop(first);
        let second = open(&path, &["a", "b", "c", "d", "e"], false).unwrap();
        assert_eq!(second.members(), ["a", "b", "c"]);
        assert_eq!(fs::read_to_string(second.cookie()).unwrap(), cookie);
    }

    #[tokio::test]
    async fn two_of_them_do_not_share_a_folder() {
        let directory = tempfile::tempdir().unwrap();
        let first = open(directory.path(), &["a"], false).unwrap();
        assert!(open(directory.path(), &["a"], false).is_err());
        drop(first);
        open(directory.path(), &["a"], false).unwrap();
    }

    #[tokio::test]
    async fn fresh_deletes_what_dev_made_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let ours = directory.path().join(PARENT).join("cluster");
        drop(open(&ours, &["a"], true).unwrap());
        fs::create_dir(ours.join("a")).unwrap();
        let fresh = open(&ours, &["b"], true).unwrap();
        assert_eq!(fresh.members(), ["b"]);
        assert!(!ours.join("a").exists());
        drop(fresh);

        // Not below .playhouse/.
        let elsewhere = directory.path().join("elsewhere");
        drop(open(&elsewhere, &["a"], false).unwrap());
        assert!(open(&elsewhere, &["a"], true).is_err());
        assert!(elsewhere.join("cookie").exists());

        // Below it, but not ours.
        let foreign = directory.path().join(PARENT).join("photos");
        fs::create_dir_all(&foreign).unwrap();
        fs::write(foreign.join("me.jpg"), "me").unwrap();
        assert!(open(&foreign, &["a"], true).is_err());
        assert!(delete_volume(&foreign).is_err());
        assert!(foreign.join("me.jpg").exists());
    }
}
