//! Folders, and files that change as a whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Whether nothing is in `folder` but `allowed`, or it does not exist.
pub(crate) fn is_empty_but_for(folder: &Path, allowed: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        // A new file system has a folder of its own.
        if name != allowed.as_os_str() && name != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where [`replace`] writes before it renames; a crash may leave it behind.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Creates `folder`, and what is above it; durable when it returns.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Replaces the content of `path`: afterwards, and after a crash at any moment, it is the old or the new one.
/// Durable when it returns.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = temporary(path);
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes durable which files are in `folder`.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
