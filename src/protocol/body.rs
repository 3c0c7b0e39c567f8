//! Bytes and how to read them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec;

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

/// A command up to this long lies in its message itself.
const SMALL_BYTES_MAX: usize = 31;

/// The command in a message inside this node. A small one needs no memory of its own.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Of any length.
    Body(Body),
    /// Up to 31 bytes of [`Content::Binary`].
    Small(SmallBody),
}

/// Up to 31 bytes of [`Content::Binary`].
#[derive(Clone, Debug)]
pub struct SmallBody {
    length: u8,
    bytes: [u8; SMALL_BYTES_MAX],
}

impl Payload {
    /// Encodes a command.
    ///
    /// # Errors
    ///
    /// As [`codec::encode`].
    pub fn encode<C: Serialize>(command: &C) -> Result<Self, codec::EncodeError> {
        let mut bytes = [0; SMALL_BYTES_MAX];
        match codec::encode_small(command, &mut bytes)? {
            Some(length) => {
                let length = u8::try_from(length).expect("the buffer is shorter");
                Ok(Self::Small(SmallBody { length, bytes }))
            }
            None => codec::encode(command).map(|bytes| Self::Body(Body::binary(bytes))),
        }
    }

    /// A copy of a command that is encoded already.
    #[must_use]
    pub fn copy(content: Content, encoded: &[u8]) -> Self {
        if content == Content::Binary && encoded.len() <= SMALL_BYTES_MAX {
            let (mut bytes, length) = ([0; SMALL_BYTES_MAX], encoded.len());
            bytes[..length].copy_from_slice(encoded);
            return Self::Small(SmallBody { length: u8::try_from(length).expect("at most 31"), bytes });
        }
        Self::Body(Body { content, bytes: Bytes::copy_from_slice(encoded) })
    }

    /// How to read the bytes.
    #[must_use]
    pub fn content(&self) -> Content {
        match self {
            Self::Body(body) => body.content,
            Self::Small(_) => Content::Binary,
        }
    }

    /// The encoded command.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(body) => &body.bytes,
            Self::Small(small) => &small.bytes[..usize::from(small.length)],
        }
    }

    /// A copy that can be kept.
    #[must_use]
    pub fn to_body(&self) -> Body {
        match self {
            Self::Body(body) => body.clone(),
            Self::Small(_) => Body::binary(Bytes::copy_from_slice(self.bytes())),
        }
    }

    /// What it takes besides its message, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Body(body) => body.len(),
            Self::Small(_) => 0,
        }
    }
}

impl From<Body> for Payload {
    fn from(body: Body) -> Self {
        Self::Body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_command_needs_no_memory_of_its_own() {
        assert_eq!(size_of::<Payload>(), size_of::<Body>());
        let small = Payload::encode(&7u64).unwrap();
        assert_eq!((small.bytes(), small.heap_bytes()), (&[7][..], 0));
        assert_eq!(small.to_body(), Body::binary(&[7][..]));
        let long = "x".repeat(SMALL_BYTES_MAX);
        let large = Payload::encode(&long).unwrap();
        assert_eq!(large.heap_bytes(), SMALL_BYTES_MAX + 1);
        assert_eq!(codec::decode::<String>(large.bytes()).unwrap(), long);
        for (content, heap_bytes) in [(Content::Binary, 0), (Content::Json, SMALL_BYTES_MAX)] {
            let copy = Payload::copy(content, &[7; SMALL_BYTES_MAX]);
            assert_eq!((copy.content(), copy.bytes()), (content, &[7; SMALL_BYTES_MAX][..]));
            assert_eq!(copy.heap_bytes(), heap_bytes);
            assert_eq!(copy.to_body(), Body { content, bytes: Bytes::from_static(&[7; SMALL_BYTES_MAX]) });
        }
    }
}
