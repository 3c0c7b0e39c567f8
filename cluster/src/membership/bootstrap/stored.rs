//! What a volume promised, as bytes: one byte that says which format, then the value in the one codec.

use super::Acceptance;
use crate::codec::{self, DecodeError, EncodeError};

/// The only format yet.
const FORMAT: u8 = 1;

/// Why bytes are no [`Acceptance`], or the other way round. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptanceError {
    /// Another release wrote it.
    #[error(
        "what this volume accepted has format {found}, this release reads {FORMAT}; start the release that wrote it"
    )]
    Foreign {
        /// What the first byte says.
        found: u8,
    },
    /// There are no bytes.
    #[error("what this volume accepted is empty; give the node an empty volume")]
    Empty,
    /// The bytes are damaged.
    #[error("what this volume accepted cannot be read; give the node an empty volume")]
    Damaged(#[source] DecodeError),
    /// It does not encode.
    #[error("what this volume accepts cannot be written")]
    Encode(#[source] EncodeError),
}

impl Acceptance {
    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// When the codec refuses, which is a bug.
    pub fn encode(&self) -> Result<Vec<u8>, AcceptanceError> {
        codec::encode_into(self, vec![FORMAT]).map_err(AcceptanceError::Encode)
    }

    /// The value that [`encode`](Self::encode) made bytes of.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, AcceptanceError> {
        match bytes {
            [] => Err(AcceptanceError::Empty),
            [FORMAT, body @ ..] => codec::decode(body).map_err(AcceptanceError::Damaged),
            [found, ..] => Err(AcceptanceError::Foreign { found: *found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::RaftId,
        identity::{ClusterId, Incarnation},
        membership::bootstrap::Ballot,
    };

    fn acceptance() -> Acceptance {
        let ballot =
            |number| Ballot { number: Incarnation(number), initiator: RaftId(7), cluster_id: ClusterId(9) };
        Acceptance { ballot: ballot(3), earlier: vec![ballot(1)] }
    }

    #[test]
    fn what_was_accepted_is_read_again() {
        let bytes = acceptance().encode().unwrap();
        assert_eq!(bytes[0], 1, "the format comes first");
        assert_eq!(Acceptance::decode(&bytes).unwrap(), acceptance());
    }

    #[test]
    fn another_format_is_refused_by_its_name_and_damage_as_damage() {
        let mut bytes = acceptance().encode().unwrap();
        bytes[0] = 2;
        let refused = Acceptance::decode(&bytes).unwrap_err();
        assert!(matches!(refused, AcceptanceError::Foreign { found: 2 }), "{refused}");
        assert!(refused.to_string().contains("has format 2, this release reads 1"), "{refused}");
        bytes[0] = 1;
        bytes.pop();
        assert!(matches!(Acceptance::decode(&bytes), Err(AcceptanceError::Damaged(_))));
        assert!(matches!(Acceptance::decode(&[]), Err(AcceptanceError::Empty)));
    }
}
