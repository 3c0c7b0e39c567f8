//! Names of entities, and the shard that each belongs to.

use std::{fmt, num::NonZeroU16, str::FromStr};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 512;
/// Longest kind name, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// A name that is not allowed. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityIdError {
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
}

/// The name of a kind of entities, such as `counter`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct KindName(CompactString);

impl KindName {
    /// Checks and keeps `name`.
    ///
    /// # Errors
    ///
    /// [`EntityIdError::Kind`].
    pub fn new(name: impl AsRef<str>) -> Result<Self, EntityIdError> {
        let name = name.as_ref();
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let starts_well = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if starts_well && name.len() <= KIND_BYTES_MAX && name.bytes().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(EntityIdError::Kind(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a kind of the node's own, which nobody outside can see or call: its name begins with `internal-`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("internal-")
    }
}

impl TryFrom<CompactString> for KindName {
    type Error = EntityIdError;
    fn try_from(name: CompactString) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<KindName> for CompactString {
    fn from(name: KindName) -> Self {
        name.0
    }
}

impl FromStr for KindName {
    type Err = EntityIdError;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which entity of a kind: 1 to 512 bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct Key(CompactString);

impl Key {
    /// Checks and keeps `key`.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or has a control character.
    pub fn new(key: impl AsRef<str>) -> Result<Self, EntityIdError> {
        let key = key.as_ref();
        if key.is_empty() {
            return Err(EntityIdError::EmptyKey);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(EntityIdError::LongKey(key.len()));
        }
        // Nearly every key is plain ASCII, and one look at its bytes tells.
        let is_plain = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if let Some((at, _)) =
            (!is_plain).then_some(key).and_then(|key| key.char_indices().find(|(_, c)| c.is_control()))
        {
            return Err(EntityIdError::ControlCharacter(at));
        }
        Ok(Self(key.into()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<CompactString> for Key {
    type Error = EntityIdError;
    fn try_from(key: CompactString) -> Result<Self, Self::Error> {
        Self::new(key)
    }
}

impl From<Key> for CompactString {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl FromStr for Key {
    type Err = EntityIdError;
    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Self::new(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A durable, addressable state machine: kind + key. It always exists; it is woken when called.
///
/// ```
/// use playhouse::protocol::EntityId;
///
/// let id = EntityId::new("counter", "visits").unwrap();
/// assert_eq!(id.to_string(), "counter/visits");
/// assert!(EntityId::new("counter", "two\nlines").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId {
    /// What it is.
    pub kind: KindName,
    /// Which one.
    pub key: Key,
}

impl EntityId {
    /// Checks and keeps both names.
    ///
    /// # Errors
    ///
    /// [`EntityIdError`].
    pub fn new(kind: impl AsRef<str>, key: impl AsRef<str>) -> Result<Self, EntityIdError> {
        Ok(Self { kind: KindName::new(kind)?, key: Key::new(key)? })
    }

    /// The shard that this entity belongs to, for ever.
    #[must_use]
    pub fn shard(&self, shards: NonZeroU16) -> ShardId {
        shard_of(self.kind.as_str(), self.key.as_str(), shards)
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// A slice of all entities: one Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `xxh3_64(kind ‖ 0x00 ‖ key) mod shards`, seed 0. Never changes: stored data depends on it.
#[must_use]
pub fn shard_of(kind: &str, key: &str, shards: NonZeroU16) -> ShardId {
    let mut buffer = [0u8; KIND_BYTES_MAX + 1 + KEY_BYTES_MAX];
    let end = kind.len() + 1 + key.len();
    let hash = if let Some(joined) = buffer.get_mut(..end) {
        joined[..kind.len()].copy_from_slice(kind.as_bytes());
        joined[kind.len() + 1..].copy_from_slice(key.as_bytes());
        xxh3_64(joined)
    } else {
        xxh3_64(&[kind.as_bytes(), &[0], key.as_bytes()].concat())
    };
    let shard = hash % u64::from(shards.get());
    ShardId(u16::try_from(shard).expect("a remainder of u16 fits in u16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARDS: NonZeroU16 = NonZeroU16::new(128).unwrap();

    /// Golden values: if this fails, every cluster in the world would lose its entities.
    #[test]
    fn the_shard_of_an_entity_never_changes() {
        let shard = |kind, key| shard_of(kind, key, SHARDS).0;
        assert_eq!(
            [shard("counter", "visits"), shard("document", "zlib1g"), shard("queue", "libs")],
            [GOLDEN[0], GOLDEN[1], GOLDEN[2]]
        );
    }

    // As an independent implementation of XXH3 says too (`xxhash` 4.1 for Python).
    const GOLDEN: [u16; 3] = [61, 40, 82];

    #[test]
    fn kind_and_key_are_separated() {
        let wide = NonZeroU16::MAX;
        assert_ne!(shard_of("ab", "c", wide), shard_of("a", "bc", wide));
    }

    #[test]
    fn bad_names_are_refused() {
        assert_eq!(Key::new(""), Err(EntityIdError::EmptyKey));
        assert_eq!(Key::new("x".repeat(513)), Err(EntityIdError::LongKey(513)));
        assert_eq!(Key::new("a\u{7f}"), Err(EntityIdError::ControlCharacter(1)));
        assert!(Key::new("x".repeat(512)).is_ok());
        for kind in ["", "Counter", "9lives", "a/b", &"k".repeat(65)] {
            assert!(KindName::new(kind).is_err(), "{kind:?}");
        }
    }
}
