//! What makes a retry safe.

use std::fmt;

use crate::name::NameError;

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 128;

/// Names one wish: the server lets it take effect at most once per entity, within its window (10 minutes unless
/// configured otherwise), and answers a repetition with the first reply.
///
/// ```
/// use playhouse_client::IdempotencyKey;
///
/// assert!(IdempotencyKey::new("order-7").is_ok());
/// assert!(IdempotencyKey::new("two words").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks and keeps `key`: 1 to 128 visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`NameError::IdempotencyKey`].
    pub fn new(key: impl Into<String>) -> Result<Self, NameError> {
        let key = key.into();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=KEY_BYTES_MAX).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(NameError::IdempotencyKey(key))
        }
    }

    pub(crate) fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a call or cast is told apart from its own repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Idempotency {
    /// A new random key for each operation; its retries carry the same one. The default.
    #[default]
    Fresh,
    /// This key: a later operation with the same key and command has no second effect.
    Key(IdempotencyKey),
    /// None. The server keeps no record (cheaper); the client then retries only what certainly never happened.
    Off,
}
