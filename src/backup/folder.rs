//! A backup as a whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use super::{
    BackupError, FORMAT, Header, Manifest, Pair, ShardEntry, ShardWriter,
    shard_file::{ReadError, ShardReader},
};

pub(super) const MANIFEST: &str = "manifest.json";

/// Writes a backup. Dropped before it is [finished](Self::finish), it leaves its unfinished folder behind, under a name that says so.
pub struct BackupWriter {
    target: PathBuf,
    unfinished: PathBuf,
    /// The folder above: what is renamed in it lasts when it is synced.
    above: File,
    manifest: Manifest,
}

impl BackupWriter {
    /// Begins a backup that will be the folder `target`. `manifest` says what is known already.
    ///
    /// # Errors
    ///
    /// When `target`, or what an interrupted backup left behind under its name, exists; or it cannot be created, or the folder
    /// above cannot be synced, without which no backup could be finished.
    pub fn begin(target: &Path, manifest: Manifest) -> Result<Self, BackupError> {
        let unfinished = unfinished_name(target);
        for folder in [target, &unfinished] {
            if folder.symlink_metadata().is_ok() {
                return Err(BackupError::Exists(folder.to_owned()));
            }
        }
        let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let above = File::open(above)
            .and_then(|folder| folder.sync_all().map(|()| folder))
            .map_err(BackupError::io(above))?;
        create_folder(&unfinished).map_err(BackupError::io(&unfinished))?;
        Ok(Self { target: target.to_owned(), unfinished, above, manifest })
    }

    /// Where it is until it is finished.
    #[must_use]
    pub fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// Begins the file of the next shard; again, when what was begun of it is of no use.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn shard(&self, header: &Header) -> Result<ShardWriter<BufWriter<File>>, BackupError> {
        let path = self.unfinished.join(file_name(header.shard));
        let file = create_file(&path).map_err(BackupError::io(&path))?;
        ShardWriter::begin(BufWriter::new(file), header).map_err(BackupError::io(&path))
    }

    /// Ends the file of a shard; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn end_shard(
        &mut self,
        header: &Header,
        writer: ShardWriter<BufWriter<File>>,
    ) -> Result<&ShardEntry, BackupError> {
        let path = self.unfinished.join(file_name(header.shard));
        let failed = BackupError::io(&path);
        let (file, written) = writer.finish().map_err(&failed)?;
        file.get_ref().sync_all().map_err(&failed)?;
        self.manifest.files.push(ShardEntry {
            shard: header.shard,
            file: file_name(header.shard),
            term: header.term,
            index: header.index,
            taken_ms: header.taken_ms,
            pairs: written.pairs,
            bytes: written.bytes,
            checksum: written.checksum,
        });
        Ok(self.manifest.files.last().expect("it was just added"))
    }

    /// Writes the manifest, reads everything again, and gives the folder its name.
    ///
    /// # Errors
    ///
    /// When something is not as it was written, or the folder cannot be renamed. It keeps its unfinished name then, unless it is
    /// [`BackupError::NotSynced`].
    pub fn finish(mut self) -> Result<Manifest, BackupError> {
        self.manifest.ended_ms =
            self.manifest.files.iter().map(|file| file.taken_ms).max().unwrap_or_default();
        let path = self.unfinished.join(MANIFEST);
        let text = self.manifest.to_text();
        let written = create_file(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(BackupError::io(&path))?;
        sync(&path)?;
        sync(&self.unfinished)?;
        let backup = Backup::open(&self.unfinished)?;
        backup.verify()?;
        if self.target.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(self.target));
        }
        fs::rename(&self.unfinished, &self.target).map_err(BackupError::io(&self.target))?;
        let synced = self.above.sync_all();
        synced.map_err(|source| BackupError::NotSynced { path: self.target, source })?;
        Ok(backup.manifest)
    }
}

/// A backup that was finished.
#[derive(Debug)]
pub struct Backup {
    folder: PathBuf,
    manifest: Manifest,
}

impl Backup {
    /// Reads the manifest in `folder`.
    ///
    /// # Errors
    ///
    /// When there is none, or it is damaged or foreign.
    pub fn open(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(BackupError::io(&path))?;
        let damaged = |reason| BackupError::damaged(&path, reason);
        let found = Manifest::format_of(&text).map_err(damaged)?;
        if found != FORMAT {
            return Err(BackupError::Foreign { path, found });
        }
        let manifest = Manifest::parse(&text).map_err(damaged)?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// What is in it.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads every file once.
    ///
    /// # Errors
    ///
    /// When one is not what was written.
    pub fn verify(&self) -> Result<(), BackupError> {
        for entry in &self.manifest.files {
            let mut parts = self.parts(entry)?;
            while parts.next()?.is_some() {}
        }
        Ok(())
    }

    /// Begins to read a shard.
    ///
    /// # Errors
    ///
    /// When its file is not what was written.
    pub fn parts(&self, entry: &ShardEntry) -> Result<Parts, BackupError> {
        let path = self.folder.join(&entry.file);
        let file = File::open(&path).map_err(BackupError::io(&path))?;
        let begun = ShardReader::begin(BufReader::new(file));
        let (reader, header) = begun.map_err(|error| unreadable(&path, error))?;
        self.check_header(&path, entry, &header)?;
        Ok(Parts { reader, entry: entry.clone(), path })
    }

    /// The file of a shard is not what a node can have written, for a reason that only nodes know.
    #[must_use]
    pub fn damaged(&self, entry: &ShardEntry, reason: impl Into<String>) -> BackupError {
        BackupError::damaged(&self.folder.join(&entry.file), reason)
    }

    fn check_header(&self, path: &Path, entry: &ShardEntry, header: &Header) -> Result<(), BackupError> {
        if header.format != FORMAT {
            return Err(BackupError::Foreign { path: path.to_owned(), found: header.format });
        }
        let wanted = Header {
            format: FORMAT,
            cluster_id: self.manifest.cluster_id.clone(),
            shard: entry.shard,
            shards: self.manifest.shards,
            term: entry.term,
            index: entry.index,
            taken_ms: entry.taken_ms,
        };
        let other = || BackupError::damaged(path, "its header does not agree with the manifest");
        (*header == wanted).then_some(()).ok_or_else(other)
    }
}

/// The pairs of a shard, part by part.
pub struct Parts {
    reader: ShardReader<BufReader<File>>,
    entry: ShardEntry,
    path: PathBuf,
}

impl Parts {
    /// The next pairs, ascending by key. They are checked, but that the file is whole is only known when there are no more:
    /// `None`.
    ///
    /// # Errors
    ///
    /// When the file is not what was written.
    #[allow(clippy::should_implement_trait)] // An iterator would go on after an error.
    pub fn next(&mut self) -> Result<Option<Vec<Pair>>, BackupError> {
        let some = self.reader.next().map_err(|error| unreadable(&self.path, error))?;
        if some.is_none() && !self.reader.written().is(&self.entry) {
            return Err(BackupError::damaged(&self.path, "it is not the file that the manifest lists"));
        }
        Ok(some)
    }
}

fn unreadable(path: &Path, error: ReadError) -> BackupError {
    match error {
        ReadError::Io(source) => BackupError::Io { path: path.to_owned(), source },
        ReadError::Damage(reason) => BackupError::damaged(path, reason),
    }
}

/// Where a backup is that is not whole yet, or not any more.
pub(super) fn unfinished_name(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    target.with_file_name(name)
}

pub(super) fn file_name(shard: u32) -> String {
    format!("shard-{shard:05}.playhouse")
}

/// For its user only: it holds the state of all entities.
fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// For its user only, wherever it is copied to.
fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(BackupError::io(path))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// It was called no backup, to be removed, although it had its name and everything in it.
    #[test]
    fn a_backup_whose_name_could_not_be_synced_is_there_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup");
        let manifest = Manifest {
            format: FORMAT,
            cluster_id: "00ff".to_owned(),
            shards: 1,
            release: "0.1.0".to_owned(),
            schemas: [].into(),
            began_ms: 1,
            ended_ms: 0,
            files: Vec::new(),
            checksum: String::new(),
        };
        let header = Header {
            format: FORMAT,
            cluster_id: "00ff".to_owned(),
            shard: 0,
            shards: 1,
            term: 1,
            index: 1,
            taken_ms: 1,
        };
        let mut backup = BackupWriter::begin(&target, manifest).unwrap();
        let shard = backup.shard(&header).unwrap();
        backup.end_shard(&header, shard).unwrap();
        // A device that cannot be synced.
        backup.above = File::open("/dev/null").unwrap();
        let unfinished = backup.unfinished().to_owned();
        let error = backup.finish().unwrap_err();
        assert!(matches!(&error, BackupError::NotSynced { path, .. } if *path == target), "{error}");
        assert!(!unfinished.exists());
        Backup::open(&target).unwrap().verify().unwrap();
    }
}
