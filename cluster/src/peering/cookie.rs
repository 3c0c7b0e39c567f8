//! The secret that all nodes of a cluster share.
//!
//! Comes in: the bytes of a file. Leaves: keys that were derived from them, each for one purpose, which are never shown
//! and are overwritten when they are dropped.

use std::fmt;

use snow::{
    params::HashChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use zeroize::Zeroize;

const KEY_BYTES: usize = 32;
/// The shortest secret: as many bytes as the key that is made of it.
const SECRET_BYTES_MIN: usize = 32;
const EXTRACT: &[u8] = b"playhouse cookie, format 1";
const LINK: &str = "link pre-shared key";

/// The secret cannot be used. Write a longer one: 32 random bytes, or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cookie must have at least {SECRET_BYTES_MIN} bytes, this one has {bytes}")]
pub struct CookieError {
    /// How many it has.
    pub bytes: usize,
}

/// What a cookie file says, as keys. Never shown.
#[derive(Clone)]
pub struct Cookie {
    root: [u8; KEY_BYTES],
    link: [u8; KEY_BYTES],
}

impl Cookie {
    /// Derives the keys from the bytes of a cookie file. All bytes count; whoever reads the file cuts off its last line
    /// end.
    ///
    /// ```
    /// use playhouse_cluster::peering::Cookie;
    ///
    /// let cookie = Cookie::derive(&[7; 32]).unwrap();
    /// assert_eq!(format!("{cookie:?}"), "Cookie(hidden)");
    /// assert!(Cookie::derive(b"too short").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// When there are fewer than 32 bytes.
    pub fn derive(secret: &[u8]) -> Result<Self, CookieError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(CookieError { bytes: secret.len() });
        }
        let root = keyed_hash(EXTRACT, secret);
        let link = expand(&root, LINK);
        Ok(Self { root, link })
    }

    /// A key for another purpose, from which neither the cookie nor another key can be found.
    #[must_use]
    pub fn derive_other(&self, context: &str) -> Self {
        let root = expand(&self.root, &format!("other: {context}"));
        let link = expand(&root, LINK);
        Self { root, link }
    }

    /// The pre-shared key: all that a peer must know. Do not show it.
    #[must_use]
    pub fn key(&self) -> &[u8; 32] {
        &self.link
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cookie(hidden)")
    }
}

impl PartialEq for Cookie {
    /// Takes as long for a nearly right key as for a wrong one.
    fn eq(&self, other: &Self) -> bool {
        self.root.iter().zip(&other.root).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Eq for Cookie {}

impl Drop for Cookie {
    fn drop(&mut self) {
        self.root.zeroize();
        self.link.zeroize();
    }
}

/// The cookies that are accepted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// The one that is used to dial.
    pub first: Cookie,
    /// Also accepted, and also used to dial a peer that does not accept the first: the old one, or the next one, while
    /// cookies are exchanged.
    pub second: Option<Cookie>,
}

impl Cookies {
    /// At most two.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cookie> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

/// Tells which cookies are accepted now. Asked at each handshake, so that a changed file needs no restart.
pub trait CookieSource: Send + Sync {
    /// The cookies. Must not block.
    fn cookies(&self) -> Cookies;
}

impl CookieSource for Cookies {
    fn cookies(&self) -> Cookies {
        self.clone()
    }
}

/// One block of HKDF's expansion.
fn expand(root: &[u8; KEY_BYTES], context: &str) -> [u8; KEY_BYTES] {
    keyed_hash(root, &[context.as_bytes(), &[1]].concat())
}

/// HMAC with BLAKE2s.
fn keyed_hash(key: &[u8], data: &[u8]) -> [u8; KEY_BYTES] {
    let hash = DefaultResolver.resolve_hash(&HashChoice::Blake2s);
    let mut key_out = [0; KEY_BYTES];
    hash.expect("the hash is compiled in, as a feature of `snow`").hmac(key, data, &mut key_out);
    key_out
}
