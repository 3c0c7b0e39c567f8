//! Cookies from files, read again when they change.
//!
//! Comes in: the path of one file, or of two while cookies are exchanged. Leaves: the cookies that count now. A file that
//! cannot be used is an error at the start; later the last good cookie of that file stays, whatever becomes of it.
//!
//! To exchange the cookie without a pause: give every node the next one in the second file, then exchange the files, then write
//! the next one into both; each step on every node before the next one. A file that is taken away refuses nobody: see above.
//!
//! The cookie itself is never shown: not in errors, not in the log, not by `Debug`.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use tokio::{task::JoinHandle, time::sleep};
use zeroize::Zeroizing;

use super::{Cookie, CookieError, CookieSource, Cookies};
use crate::environment::Environment;

/// Largest cookie file. A larger one is not a cookie.
const FILE_BYTES_MAX: usize = 4096;
/// Permissions of others than the owner and its group.
const OTHERS: u32 = 0o007;
/// Permissions of the group.
const GROUP: u32 = 0o070;
/// To read, as the group.
const GROUP_READS: u32 = 0o040;

/// Why a cookie file cannot be used. At the start the node does not run; later the last good cookie stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CookieFileError {
    /// The file cannot be read.
    #[error(
        "cannot read the cookie file {}; it must exist on every node, with the same 32 or more random bytes, and be \
         readable by the node's user",
        path.display()
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any cookie.
    #[error(
        "the cookie file {} has more than {FILE_BYTES_MAX} bytes; is it the right file?",
        path.display()
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// What the file says is no cookie.
    #[error(
        "the cookie file {} is no cookie; write 32 random bytes, or 64 hexadecimal digits, to it on every node",
        path.display()
    )]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CookieError,
    },
}

/// Where the cookies are.
#[derive(Clone, Debug)]
pub struct CookieFilesConfig {
    /// The one that is used to dial.
    pub first: PathBuf,
    /// Also accepted.
    pub second: Option<PathBuf>,
    /// How often to look whether a file changed.
    pub poll_every: Duration,
}

impl CookieFilesConfig {
    /// Looks every 3 seconds.
    #[must_use]
    pub fn new(first: impl Into<PathBuf>, second: Option<PathBuf>) -> Self {
        Self { first: first.into(), second, poll_every: Duration::from_secs(3) }
    }
}

/// The cookies that the files say, or said when they could last be used. Stops looking when it is dropped.
#[derive(Debug)]
pub struct CookieFiles {
    current: Arc<RwLock<Cookies>>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl CookieFiles {
    /// Reads the files and then looks at them for ever.
    ///
    /// # Errors
    ///
    /// [`CookieFileError`]; the node must not start then, as nobody would talk to it.
    pub fn open(config: CookieFilesConfig, environment: &Environment) -> Result<Self, CookieFileError> {
        let first = CookieFile::open(config.first)?;
        let second = config.second.map(CookieFile::open).transpose()?;
        let files = Files { first, second };
        let current = Arc::new(RwLock::new(files.cookies()));
        let counts = Arc::new(Counts::default());
        let task = environment.spawn(files.watch(config.poll_every, current.clone(), counts.clone()));
        Ok(Self { current, counts, task })
    }

    /// How often a file had another cookie than before.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.counts.changes.load(Relaxed)
    }

    /// How often a file could not be used when it was looked at.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.counts.failures.load(Relaxed)
    }
}

impl CookieSource for CookieFiles {
    fn cookies(&self) -> Cookies {
        self.current.read().clone()
    }
}

impl Drop for CookieFiles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Default)]
struct Counts {
    changes: AtomicU64,
    failures: AtomicU64,
}

struct Files {
    first: CookieFile,
    second: Option<CookieFile>,
}

impl Files {
    fn cookies(&self) -> Cookies {
        let second = self.second.as_ref().map(|file| file.cookie.clone());
        Cookies { first: self.first.cookie.clone(), second }
    }

    async fn watch(mut self, every: Duration, current: Arc<RwLock<Cookies>>, counts: Arc<Counts>) {
        loop {
            sleep(every).await;
            let mut changed = false;
            for file in std::iter::once(&mut self.first).chain(&mut self.second) {
                changed |= file.look(&counts);
            }
            if changed {
                *current.write() = self.cookies();
            }
        }
    }
}

/// One file, and the last good cookie that was in it.
struct CookieFile {
    path: PathBuf,
    cookie: Cookie,
    /// How the file looked when it was last read; `None` if that failed.
    stamp: Option<Stamp>,
    /// What was logged last.
    problem: Option<String>,
}

impl CookieFile {
    fn open(path: PathBuf) -> Result<Self, CookieFileError> {
        let (stamp, cookie) = read(&path)?;
        Ok(Self { path, cookie, stamp: Some(stamp), problem: None })
    }

    /// Reads the file if it changed; says whether the cookie did.
    fn look(&mut self, counts: &Counts) -> bool {
        let unchanged = |now: Stamp| self.stamp == Some(now);
        if std::fs::metadata(&self.path).is_ok_and(|metadata| unchanged(Stamp::of(&metadata))) {
            return false;
        }
        match read(&self.path) {
            Ok((stamp, cookie)) => self.accept(stamp, cookie, counts),
            Err(error) => {
                self.refuse(&error, counts);
                false
            }
        }
    }

    fn accept(&mut self, stamp: Stamp, cookie: Cookie, counts: &Counts) -> bool {
        let file = self.path.display();
        self.stamp = Some(stamp);
        if self.problem.take().is_some() {
            tracing::info!(%file, "the cookie file can be used again");
        }
        let changed = cookie != self.cookie;
        if changed {
            counts.changes.fetch_add(1, Relaxed);
            tracing::info!(%file, "the cookie was read again and is another one");
            self.cookie = cookie;
        }
        changed
    }

    fn refuse(&mut self, error: &CookieFileError, counts: &Counts) {
        counts.failures.fetch_add(1, Relaxed);
        self.stamp = None;
        let text = told(error);
        if self.problem.as_ref() != Some(&text) {
            tracing::error!(error = text, "the last good cookie of this file stays valid");
            self.problem = Some(text);
        }
    }
}

/// What a changed file differs in. A link that is swapped leads to another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The stamp is that of the open file, so that it belongs to what was read.
fn read(path: &Path) -> Result<(Stamp, Cookie), CookieFileError> {
    let failed = |source| CookieFileError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // One more byte than is allowed; of a fixed size, so that no copy stays behind in memory.
    let mut secret = Zeroizing::new([0; FILE_BYTES_MAX + 1]);
    let bytes = fill(file, &mut *secret).map_err(failed)?;
    if bytes > FILE_BYTES_MAX {
        return Err(CookieFileError::TooLarge { path: path.to_owned() });
    }
    let cookie = Cookie::derive(secret[..bytes].trim_ascii())
        .map_err(|source| CookieFileError::Unusable { path: path.to_owned(), source })?;
    warn_if_open_to_others(path, &metadata);
    Ok((Stamp::of(&metadata), cookie))
}

/// Reads until the end of the file or of the buffer.
fn fill(mut file: impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

fn warn_if_open_to_others(path: &Path, metadata: &std::fs::Metadata) {
    let mode = metadata.mode();
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_open_to_others(mode, is_own) {
        let (file, mode) = (path.display(), format!("{:03o}", mode & 0o777));
        tracing::warn!(%file, mode, "others than the owner may use the cookie file; set its mode to 400");
    }
}

/// A file of another user, such as root's in a mounted secret, can only be read by its group.
fn is_open_to_others(mode: u32, is_own: bool) -> bool {
    let of_group = if is_own { GROUP } else { GROUP & !GROUP_READS };
    mode & (OTHERS | of_group) != 0
}

/// The whole chain, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[cfg(test)]
mod tests;
