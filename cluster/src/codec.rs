//! The one binary format of frames and records: `postcard` (serde, variable-length integers).
//!
//! The format does not describe itself. Whoever stores bytes stores a schema version beside them.
//! Why this codec: `docs/decisions/0003-codec.md`.

use serde::{Deserialize, Serialize};

/// The value could not be encoded: a sequence of unknown length, or a map key that is not encodable.
#[derive(Debug, thiserror::Error)]
#[error("could not encode {what}")]
pub struct EncodeError {
    what: &'static str,
    #[source]
    source: postcard::Error,
}

/// The bytes are not a value of that type. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{length} bytes are not a valid {what}")]
pub struct DecodeError {
    what: &'static str,
    length: usize,
    #[source]
    source: postcard::Error,
}

/// Encodes `value` into a new buffer.
///
/// ```
/// let bytes = playhouse_cluster::codec::encode(&(1u8, "a")).unwrap();
/// assert_eq!(playhouse_cluster::codec::decode::<(u8, String)>(&bytes).unwrap(), (1, "a".to_owned()));
/// ```
///
/// # Errors
///
/// When the type contains something that the format cannot express, such as a sequence of unknown length.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut small = [0; SMALL_BYTES];
    match encode_small(value, &mut small)? {
        // Exactly as long as it must be: growing it, and making `Bytes` of a longer one, would allocate again.
        Some(length) => Ok(small[..length].to_vec()),
        None => encode_into(value, Vec::new()),
    }
}

/// What [`encode`] encodes on the stack first.
const SMALL_BYTES: usize = 128;

/// Encodes `value` into `buffer` and returns its length; `None` when it does not fit.
///
/// ```
/// let mut buffer = [0; 2];
/// assert_eq!(playhouse_cluster::codec::encode_small(&7u8, &mut buffer).unwrap(), Some(1));
/// assert_eq!(playhouse_cluster::codec::encode_small("seven", &mut buffer).unwrap(), None);
/// ```
///
/// # Errors
///
/// As [`encode`].
pub fn encode_small<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut [u8],
) -> Result<Option<usize>, EncodeError> {
    match postcard::to_slice(value, buffer) {
        Ok(encoded) => Ok(Some(encoded.len())),
        Err(postcard::Error::SerializeBufferFull) => Ok(None),
        Err(source) => Err(EncodeError { what: std::any::type_name::<T>(), source }),
    }
}

/// Encodes `value` behind what `buffer` already holds.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    postcard::to_extend(value, buffer)
        .map_err(|source| EncodeError { what: std::any::type_name::<T>(), source })
}

/// Decodes one value, which must take all of `bytes`, and may borrow from them.
///
/// # Errors
///
/// When the bytes are not such a value, or when some are left over.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let fail = |source| DecodeError { what: std::any::type_name::<T>(), length: bytes.len(), source };
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(fail(postcard::Error::DeserializeBadEncoding)),
        Err(source) => Err(fail(source)),
    }
}
