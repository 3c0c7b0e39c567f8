//! Folders, and files that change as a whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Whether nothing is in `folder`, or it does not exist.
pub(crate) fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        // A new file system has this folder of its own.
        Ok(entries) => Ok(entries.filter(|entry| !is_lost_and_found(entry)).count() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_lost_and_found(entry: &io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name() == "lost+found")
}

/// Creates `folder`, and what is above it; durable when it returns.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Replaces the content of `path`: afterwards, and after a crash at any moment, it is the old or the new one.
/// Durable when it returns.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
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
