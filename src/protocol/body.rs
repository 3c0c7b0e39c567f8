//! Bytes and how to read them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// JSON text, as the gateway receives and sends it.
    Json,
    /// [`codec`](crate::protocol::codec), as Rust clients inside the cluster use it.
    Binary,
}

/// A command or a reply, still encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// How to read [`bytes`](Self::bytes).
    pub content: Content,
    /// The encoded value.
    pub bytes: Bytes,
}

impl Body {
    /// A JSON body.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Json, bytes: bytes.into() }
    }

    /// A binary body.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Binary, bytes: bytes.into() }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
