//! Why a queue says no.

use super::{BYTES_MAX, ITEMS_MAX, LEASES_MAX};
use crate::{entity::Refusal, protocol::RefusalClass};

/// Why a queue says no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room. Wait until items are acknowledged, purge dead letters, or spread over more queues.
    #[error(
        "the queue is full: {items} items of at most {ITEMS_MAX}, {bytes} bytes of at most {BYTES_MAX}, dead letters included"
    )]
    Full {
        /// Items in the queue.
        items: usize,
        /// What they cost.
        bytes: usize,
    },
    /// The item would not fit into an empty queue. Keep it elsewhere and push its name.
    #[error("the item costs {bytes} bytes, a queue holds at most {BYTES_MAX}")]
    ItemTooLarge {
        /// What it costs.
        bytes: usize,
    },
    /// Too many items are leased. Wait until some are acknowledged or lapse.
    #[error("{LEASES_MAX} items are leased; acknowledge some first")]
    TooManyLeases,
    /// The lease lapsed, the item was acknowledged before, or there was never such a lease.
    #[error("there is no lease with token {token}: it lapsed, or the item was settled before")]
    UnknownToken {
        /// What was asked for.
        token: u64,
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
            Self::Full { .. } => "queue_full",
            Self::ItemTooLarge { .. } => "item_too_large",
            Self::TooManyLeases => "too_many_leases",
            Self::UnknownToken { .. } => "unknown_token",
            Self::OutOfRange { .. } => "out_of_range",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::ItemTooLarge { .. } | Self::OutOfRange { .. } => RefusalClass::Unprocessable,
            _ => RefusalClass::Conflict,
        }
    }
}
