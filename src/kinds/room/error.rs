//! Why a room says no.

use compact_str::CompactString;

use super::{ITEM_BYTES_MAX, MEMBERS_MAX, NAME_BYTES_MAX};
use crate::{entity::Refusal, protocol::RefusalClass};

/// Why a room says no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Who speaks has to join first; the time of a membership may be over.
    #[error("{0:?} is not a member")]
    NotAMember(CompactString),
    /// Somebody has to leave first.
    #[error("the room has {MEMBERS_MAX} members")]
    Full,
    /// The name is not allowed.
    #[error("a member has a name of 1 to {NAME_BYTES_MAX} bytes without control characters")]
    BadName,
    /// Keep it elsewhere and publish its name.
    #[error("the item has {bytes} bytes, at most {ITEM_BYTES_MAX} are allowed")]
    ItemTooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// A number is not allowed.
    #[error("{what} must be {min} to {max}")]
    OutOfRange {
        /// Which field.
        what: &'static str,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAMember(_) => "not_a_member",
            Self::Full => "room_full",
            Self::BadName => "bad_name",
            Self::ItemTooLarge { .. } => "item_too_large",
            Self::OutOfRange { .. } => "out_of_range",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::NotAMember(_) | Self::Full => RefusalClass::Conflict,
            _ => RefusalClass::Unprocessable,
        }
    }
}
