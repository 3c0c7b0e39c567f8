//! The files of a pod on the disk of this machine.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::executor::{
    files::{File, projected},
    objects::{
        Objects,
        pod::{Container, PodSpec},
        volume::{Mount, VolumeSource},
    },
    variables::NotYet,
};

use super::root::Bind;

/// How folders of files are called, of which one is current.
const STATE: &str = "..state-";
/// How many states of projected volumes there have been.
static STATES: AtomicU32 = AtomicU32::new(0);
/// One at a time exchanges files: a pod that starts, or a Secret that changes.
static EXCHANGE: Mutex<()> = Mutex::new(());

/// Why a pod does not have its files. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    /// Something is missing that somebody makes.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// This machine did not.
    #[error("the files of the pod could not be written")]
    Disk(#[from] io::Error),
}

/// Where the files of a pod are.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// Those that go with the pod.
    pub(super) pod: PathBuf,
    /// Those that stay with its name, by the name of the claim.
    pub(super) claims: Vec<(String, PathBuf)>,
}

impl Folders {
    /// Makes all volumes that are not there yet, and brings projected ones up to date.
    pub(super) fn make(&self, spec: &PodSpec, objects: &Objects) -> Result<(), VolumeError> {
        let _alone = EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        let group = spec.security_context.fs_group;
        for (_, folder) in &self.claims {
            make_own(folder, group, 0o755)?;
        }
        for volume in &spec.volumes {
            let folder = self.volume(&volume.name);
            let files = match volume.source() {
                Some(VolumeSource::ConfigMap(from)) => {
                    let data = objects.config_maps.get(&from.name).map(|map| &map.data);
                    projected("ConfigMap", &from, data, group)?
                }
                Some(VolumeSource::Secret(from)) => {
                    projected("Secret", &from, objects.secrets.get(&from.name), group)?
                }
                Some(VolumeSource::Empty) | None => {
                    make_own(&folder, group, 0o777)?;
                    continue;
                }
            };
            project(&folder, &files, group)?;
        }
        Ok(())
    }

    /// What the container sees, and where.
    pub(super) fn binds(&self, container: &Container) -> Vec<Bind> {
        let bind = |mount: &Mount| Bind {
            from: self.source(&mount.name).join(&mount.sub_path),
            to: mount.mount_path.clone(),
            is_read_only: mount.read_only,
        };
        container.volume_mounts.iter().map(bind).collect()
    }

    fn source(&self, name: &str) -> PathBuf {
        let claim = self.claims.iter().find(|(claim, _)| claim == name);
        claim.map_or_else(|| self.volume(name), |(_, folder)| folder.clone())
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.pod.join("volumes").join(name)
    }
}

/// A folder that the pod may write.
fn make_own(folder: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let mode = if group.is_some() { mode | 0o2070 } else { mode };
    chown(folder, None, group)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

/// Files change all at once, by one link, so that nobody sees some old and some new ones.
fn project(folder: &Path, files: &[File], group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let current = folder.join("..data");
    if is_up_to_date(&current, files) {
        return Ok(());
    }
    let name = format!("{STATE}{}", STATES.fetch_add(1, Ordering::Relaxed));
    let state = folder.join(&name);
    for file in files {
        write(&state.join(&file.path), file, group)?;
        let first = file.path.components().next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
        let link = folder.join(&first);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(first), link)?;
        }
    }
    fs::create_dir_all(&state)?;
    let next = folder.join("..data_tmp");
    // An exchange that failed before its last step left it.
    remove_file(&next)?;
    symlink(&name, &next)?;
    fs::rename(next, &current)?;
    remove_other_states(folder, &name)
}

/// The one before, and those of exchanges that failed: there may be secrets in them.
fn remove_other_states(folder: &Path, current: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(STATE.as_bytes()) && name != current {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// One that is not there is none to remove.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut writer = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    writer.write_all(file.text.as_bytes())?;
    chown(path, None, group)?;
    fs::set_permissions(path, fs::Permissions::from_mode(file.mode))
}

fn is_up_to_date(current: &Path, files: &[File]) -> bool {
    let is_same =
        |file: &File| fs::read(current.join(&file.path)).is_ok_and(|text| text == file.text.as_bytes());
    let count = |folder: &Path| fs::read_dir(folder).map(Iterator::count).unwrap_or(usize::MAX);
    current.exists() && count(current) <= files.len() && files.iter().all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that such an exchange left behind once made every later one fail, and no pod was started any more.
    #[test]
    fn an_exchange_that_failed_half_way_is_made_up_for_by_the_next() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("settings");
        let file = File { path: "key".into(), text: "value".to_owned(), mode: 0o644 };
        let in_the_way = folder.join("..data");
        fs::create_dir_all(&in_the_way).unwrap();
        project(&folder, std::slice::from_ref(&file), None).unwrap_err();
        assert!(fs::symlink_metadata(folder.join("..data_tmp")).is_ok(), "it failed at its last step");
        fs::remove_dir(in_the_way).unwrap();

        project(&folder, &[file], None).unwrap();

        assert_eq!(fs::read_to_string(folder.join("key")).unwrap(), "value");
        assert!(fs::symlink_metadata(folder.join("..data_tmp")).is_err());
    }
}
