//! The configuration as bytes: one byte that says which format, then the value in the one codec.

use super::{ClusterState, STATE_BYTES_MAX};
use crate::codec::{self, DecodeError, EncodeError};

/// The only format yet.
const FORMAT: u8 = 1;

/// Why bytes are no configuration, or the configuration no bytes. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Another release wrote it.
    #[error(
        "the configuration has format {found}, this release reads {FORMAT}; start the release that wrote it"
    )]
    Foreign {
        /// What the first byte says.
        found: u8,
    },
    /// There are no bytes.
    #[error("the configuration is empty; restore the store from a backup")]
    Empty,
    /// The bytes are damaged.
    #[error("the configuration cannot be read; restore the store from a backup")]
    Damaged(#[source] DecodeError),
    /// It does not encode.
    #[error("the configuration cannot be written")]
    Encode(#[source] EncodeError),
    /// There is too much of it.
    #[error("the configuration takes {bytes} bytes, {STATE_BYTES_MAX} are allowed; forget members that left")]
    TooLarge {
        /// How many it takes.
        bytes: usize,
    },
}

impl ClusterState {
    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// When there are too many of them, which the bounds on what is in it rule out.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let bytes = codec::encode_into(self, vec![FORMAT]).map_err(FormatError::Encode)?;
        match bytes.len() {
            0..=STATE_BYTES_MAX => Ok(bytes),
            bytes => Err(FormatError::TooLarge { bytes }),
        }
    }

    /// The value that [`encode`](Self::encode) made bytes of.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        match bytes {
            [] => Err(FormatError::Empty),
            _ if bytes.len() > STATE_BYTES_MAX => Err(FormatError::TooLarge { bytes: bytes.len() }),
            [FORMAT, body @ ..] => codec::decode(body).map_err(FormatError::Damaged),
            [found, ..] => Err(FormatError::Foreign { found: *found }),
        }
    }
}
