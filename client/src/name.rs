//! Names of entities, checked before anything is sent.

use std::fmt::{self, Write as _};

/// Longest key, in bytes of UTF-8.
const KEY_BYTES_MAX: usize = 512;
/// Longest kind name, in bytes.
const KIND_BYTES_MAX: usize = 64;

/// A name that is not allowed. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Kinds match `[a-z][a-z0-9_-]{0,63}`.
    #[error(
        "kind {0:?} is not allowed: it must match [a-z][a-z0-9_-]* and have at most {KIND_BYTES_MAX} bytes"
    )]
    Kind(String),
    /// A key has at least one byte.
    #[error("the key is empty")]
    EmptyKey,
    /// A key has at most 512 bytes.
    #[error("the key has {0} bytes, at most {KEY_BYTES_MAX} are allowed")]
    LongKey(usize),
    /// A key has no control characters.
    #[error("the key has a control character at byte {0}")]
    ControlCharacter(usize),
    /// An idempotency key has 1 to 128 visible ASCII characters.
    #[error("{0:?} cannot be an idempotency key: it must have 1 to 128 visible ASCII characters")]
    IdempotencyKey(String),
}

/// Kind and key of an entity.
///
/// ```
/// use playhouse_client::EntityName;
///
/// let name = EntityName::new("counter", "visits").unwrap();
/// assert_eq!(name.to_string(), "counter/visits");
/// assert!(EntityName::new("Counter", "visits").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityName {
    kind: String,
    key: String,
}

impl EntityName {
    /// Checks and keeps both names.
    ///
    /// # Errors
    ///
    /// When the server would refuse one of them.
    pub fn new(kind: impl Into<String>, key: impl Into<String>) -> Result<Self, NameError> {
        let (kind, key) = (kind.into(), key.into());
        check_kind(&kind)?;
        check_key(&key)?;
        Ok(Self { kind, key })
    }

    /// The kind, such as `counter`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Which one of its kind.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The path of this entity in the API.
    pub(crate) fn path(&self) -> String {
        format!("/v1/entities/{}/{}", self.kind, encode(&self.key))
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

pub(crate) fn check_kind(kind: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let starts_well = kind.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if starts_well && kind.len() <= KIND_BYTES_MAX && kind.bytes().all(allowed) {
        Ok(())
    } else {
        Err(NameError::Kind(kind.to_owned()))
    }
}

fn check_key(key: &str) -> Result<(), NameError> {
    if key.is_empty() {
        return Err(NameError::EmptyKey);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(NameError::LongKey(key.len()));
    }
    match key.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(NameError::ControlCharacter(at)),
        None => Ok(()),
    }
}

/// Percent-encodes everything but letters, digits and `-_~`.
///
/// Dots too: a key `..` must not be taken for a step up by a proxy on the way.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encoded_so_that_it_stays_one_path_segment() {
        let path = |key| EntityName::new("document", key).unwrap().path();
        assert_eq!(path("zlib1g"), "/v1/entities/document/zlib1g");
        assert_eq!(path("a/b?c"), "/v1/entities/document/a%2Fb%3Fc");
        assert_eq!(path(".."), "/v1/entities/document/%2E%2E");
        assert_eq!(path("naïve"), "/v1/entities/document/na%C3%AFve");
    }

    #[test]
    fn bad_names_are_refused() {
        let key = |key: &str| EntityName::new("k", key).unwrap_err();
        assert_eq!(key(""), NameError::EmptyKey);
        assert_eq!(key(&"x".repeat(513)), NameError::LongKey(513));
        assert_eq!(key("a\u{7f}"), NameError::ControlCharacter(1));
        for kind in ["", "Counter", "9lives", "a/b", &"k".repeat(65)] {
            assert!(EntityName::new(kind, "x").is_err(), "{kind:?}");
        }
        assert!(EntityName::new("k", "x".repeat(512)).is_ok());
    }
}
