//! Who we are to the server.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hyper::header::HeaderValue;

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file could not be read.
    #[error("could not read the token file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A token has at least one character and only visible ASCII ones.
    #[error("{0} holds no token: one line of visible ASCII characters is expected")]
    Malformed(String),
}

/// A bearer token. Its text appears in no `Debug`, error or log.
///
/// ```
/// use playhouse_client::Token;
///
/// let token = Token::new("s3cret").unwrap();
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// ```
#[derive(Clone)]
pub struct Token {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where it is read again when the server no longer accepts it.
    file: Option<PathBuf>,
    header: Mutex<HeaderValue>,
}

impl Token {
    /// A token by its text.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        Self::assemble(None, header(text, "the text")?)
    }

    /// A token from the first line of a file. It is read again when the server answers 401, so that a token can be
    /// changed while the program runs.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no token.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, TokenError> {
        let path = path.into();
        let header = read(&path)?;
        Self::assemble(Some(path), header)
    }

    fn assemble(file: Option<PathBuf>, header: HeaderValue) -> Result<Self, TokenError> {
        Ok(Self { inner: Arc::new(Inner { file, header: Mutex::new(header) }) })
    }

    /// The value of `Authorization`, marked as sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        self.inner.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again; whether it holds another token than `refused`.
    pub(crate) fn reload(&self, refused: &HeaderValue) -> bool {
        if let Some(Ok(header)) = self.inner.file.as_deref().map(read) {
            *self.inner.header.lock().unwrap_or_else(PoisonError::into_inner) = header;
        }
        self.header() != *refused
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn read(path: &Path) -> Result<HeaderValue, TokenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
    header(text.lines().next().unwrap_or(""), &path.display().to_string())
}

fn header(text: &str, whence: &str) -> Result<HeaderValue, TokenError> {
    let malformed = || TokenError::Malformed(whence.to_owned());
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| malformed())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new("s3cret").unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("s3cret"));
        let error = Token::new("s3cret with spaces").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let token = Token::from_file(&path).unwrap();
        let first = token.header();
        assert!(!token.reload(&first));

        std::fs::write(&path, "two\n").unwrap();
        assert!(token.reload(&first));
        assert_eq!(token.header(), "Bearer two");
    }

    #[test]
    fn an_empty_file_is_not_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Token::from_file(&path), Err(TokenError::Malformed(_))));
    }
}
