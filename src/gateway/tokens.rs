//! Bearer tokens from a file, one per line.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use subtle::{Choice, ConstantTimeEq};

use crate::telemetry::Metrics;

/// Shortest token, in bytes. Shorter ones can be guessed over the network.
const TOKEN_BYTES_MIN: usize = 16;
/// Largest token file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a token file cannot be used. At the start the node does not run; later the old tokens stay valid.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file has no token.
    #[error("the token file {} has no token: write one per line; lines that start with # are comments", _0.display())]
    Empty(PathBuf),
    /// A token is too short, or not printable ASCII without spaces.
    #[error(
        "the token file {}, line {line}: a token has at least {TOKEN_BYTES_MIN} printable ASCII characters and no spaces",
        path.display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, counting from 1. The token itself is never shown.
        line: usize,
    },
    /// The file is larger than 1 MiB.
    #[error("the token file {} has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large it is.
        bytes: u64,
    },
}

/// The tokens that are valid now. A cheap handle; its tokens never appear in `Debug` or in a log.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// What the file looked like when it was read.
    valid: RwLock<Read>,
}

struct Read {
    tokens: Vec<Vec<u8>>,
    stamp: Stamp,
}

/// A file whose stamp did not change is not read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Tokens {
    /// Reads the file. Each line is a token; empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; the node must not start then, or it would be open to everybody or to nobody.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, TokenError> {
        let path = path.into();
        let valid = RwLock::new(read(&path)?);
        Ok(Self(Arc::new(Inner { path, valid })))
    }

    /// Whether `token` is one of them. Takes the same time for every wrong token of the same length.
    #[must_use]
    pub fn accept(&self, token: &str) -> bool {
        let given = token.as_bytes();
        let valid = self.0.valid.read();
        let matches = valid.tokens.iter().map(|token| token.as_slice().ct_eq(given));
        matches.fold(Choice::from(0), |any, one| any | one).into()
    }

    /// Reads the file again if it changed. `true` when other tokens may be valid now.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; the old tokens stay valid.
    pub fn reload(&self) -> Result<bool, TokenError> {
        let before = self.0.valid.read().stamp;
        if stamp(&self.0.path).is_ok_and(|now| now == before) {
            return Ok(false);
        }
        let read = read(&self.0.path)?;
        *self.0.valid.write() = read;
        Ok(true)
    }

    /// Looks at the file every `interval`, for ever. A file that became unreadable is logged and counted once per look.
    ///
    /// Kubernetes swaps a symbolic link when a Secret changes; looking at the time of change sees that, watching the
    /// file would not.
    pub async fn watch(self, interval: Duration, metrics: Metrics) {
        let mut ticks = tokio::time::interval(interval);
        loop {
            ticks.tick().await;
            let file = self.0.path.display();
            match self.reload() {
                Ok(true) => {
                    tracing::info!(%file, tokens = self.0.valid.read().tokens.len(), "tokens were read again")
                }
                Ok(false) => {}
                Err(error) => {
                    metrics.token_reload_failures.with_label_values(&[&file.to_string()]).inc();
                    tracing::error!(%error, "the old tokens stay valid");
                }
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.0.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Read, TokenError> {
    let failed = |source| TokenError::Read { path: path.to_owned(), source };
    let stamp = stamp(path).map_err(failed)?;
    if stamp.bytes > FILE_BYTES_MAX {
        return Err(TokenError::TooLarge { path: path.to_owned(), bytes: stamp.bytes });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let tokens = parse(path, &text)?;
    if tokens.is_empty() {
        return Err(TokenError::Empty(path.to_owned()));
    }
    Ok(Read { tokens, stamp })
}

fn parse(path: &Path, text: &str) -> Result<Vec<Vec<u8>>, TokenError> {
    let lines = text.lines().map(str::trim).enumerate();
    let tokens = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    tokens
        .map(|(number, token)| {
            let graphic = token.bytes().all(|byte| byte.is_ascii_graphic());
            let fine = graphic && token.len() >= TOKEN_BYTES_MIN;
            let malformed = || TokenError::Malformed { path: path.to_owned(), line: number + 1 };
            fine.then(|| token.as_bytes().to_vec()).ok_or_else(malformed)
        })
        .collect()
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    Ok(Stamp { modified: metadata.modified().ok(), bytes: metadata.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-token-0123456789";
    const NEW: &str = "new-token-0123456789-and-more";

    fn file(text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tokens"), text).unwrap();
        directory
    }

    fn load(directory: &tempfile::TempDir) -> Result<Tokens, TokenError> {
        Tokens::load(directory.path().join("tokens"))
    }

    #[test]
    fn several_tokens_are_valid_at_once() {
        let tokens = load(&file(&format!("# rotation\n{OLD}\n\n  {NEW}\r\n"))).unwrap();
        assert!(tokens.accept(OLD) && tokens.accept(NEW));
        for wrong in ["", "old-token-012345678", "old-token-0123456789x", "# rotation"] {
            assert!(!tokens.accept(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_changed_file_replaces_the_tokens_and_an_unchanged_one_is_not_read() {
        let directory = file(OLD);
        let tokens = load(&directory).unwrap();
        assert!(!tokens.reload().unwrap());
        std::fs::write(directory.path().join("tokens"), NEW).unwrap();
        assert!(tokens.reload().unwrap());
        assert!(tokens.accept(NEW) && !tokens.accept(OLD));
    }

    #[test]
    fn a_file_that_became_bad_keeps_the_old_tokens() {
        let directory = file(OLD);
        let tokens = load(&directory).unwrap();
        std::fs::write(directory.path().join("tokens"), "").unwrap();
        assert!(matches!(tokens.reload(), Err(TokenError::Empty(_))));
        std::fs::remove_file(directory.path().join("tokens")).unwrap();
        assert!(matches!(tokens.reload(), Err(TokenError::Read { .. })));
        assert!(tokens.accept(OLD));
    }

    #[test]
    fn a_file_without_good_tokens_is_refused_at_the_start() {
        assert!(matches!(load(&file("# nothing\n")), Err(TokenError::Empty(_))));
        assert!(matches!(load(&file("short\n")), Err(TokenError::Malformed { line: 1, .. })));
        assert!(matches!(
            load(&file(&format!("{OLD}\ntwo words 0123456789"))),
            Err(TokenError::Malformed { line: 2, .. })
        ));
        assert!(matches!(Tokens::load("/nowhere/tokens"), Err(TokenError::Read { .. })));
    }

    #[test]
    fn tokens_do_not_show_in_debug() {
        let tokens = load(&file(OLD)).unwrap();
        assert!(!format!("{tokens:?}").contains("old-token"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_file_is_counted_while_watching() {
        let directory = file(OLD);
        let tokens = load(&directory).unwrap();
        let metrics = Metrics::new("test");
        std::fs::write(directory.path().join("tokens"), "").unwrap();
        let watch = tokens.clone().watch(Duration::from_secs(5), metrics.clone());
        let _ = tokio::time::timeout(Duration::from_secs(7), watch).await;
        let path = directory.path().join("tokens").display().to_string();
        assert_eq!(metrics.token_reload_failures.with_label_values(&[&path]).get(), 2);
        assert!(tokens.accept(OLD));
    }
}
