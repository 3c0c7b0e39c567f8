//! Why a call has no reply.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::KindName;

/// Whether a refusal is about the state (409) or about the command (422).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalClass {
    /// The command is fine, but not in this state: try again after the state has changed.
    Conflict,
    /// The command itself makes no sense for this entity.
    Unprocessable,
}

/// The entity said no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A stable word chosen by the kind, such as `insufficient_funds`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Which HTTP status fits.
    pub class: RefusalClass,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Why a call has no reply, and what is known of its effects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// No kind of that name is registered on the node that leads the shard. Nothing happened.
    #[error(
        "the node that leads this shard has no kind {kind:?}: check the name, or whether its release has that kind"
    )]
    UnknownKind {
        /// The name that was asked for.
        kind: String,
    },
    /// The body is not a command of that kind. Nothing happened.
    #[error("the body is not a command of this kind: {message} (at {path})")]
    InvalidBody {
        /// JSON path of the fault, such as `.items[2].name`; `.` for the whole body.
        path: String,
        /// What was expected there.
        message: String,
    },
    /// The entity said no. Nothing happened.
    #[error("refused: {0}")]
    Refused(Refused),
    /// The handler panicked. Nothing happened; the entity is as it was.
    #[error("the handler crashed; the entity is as it was")]
    Crashed,
    /// The handler panicked too often. Nothing happened; calls are refused until the time is over.
    #[error("the entity is quarantined after repeated crashes; calls are accepted again in {} s", retry_after.as_secs())]
    Quarantined {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// What is stored was written under a schema version that this release cannot read. Nothing happened.
    #[error("the stored state of {entity} cannot be read: {reason}")]
    UnreadableState {
        /// Which entity.
        entity: String,
        /// Which version was found, and which are read here.
        reason: String,
    },
    /// A bound was reached. Nothing happened.
    #[error("overloaded: {what}")]
    Overloaded {
        /// Which bound.
        what: String,
    },
    /// Something is larger than allowed. Nothing happened.
    #[error("{what} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
    /// The same idempotency key was used with another body. Nothing happened.
    #[error("this idempotency key was used before with another body")]
    IdempotencyMismatch,
    /// The deadline passed. If the command had been sent by then, it may still take effect.
    #[error("no reply within the deadline; retry only with the same idempotency key")]
    DeadlineExceeded,
    /// Refused before it was appended. It never happened.
    #[error("not committed: it never happened")]
    NotCommitted,
    /// Appended, then leadership moved: it may or may not have happened.
    #[error("outcome unknown; retry only with the same idempotency key")]
    OutcomeUnknown,
    /// The shard has no leader that can be reached. Nothing happened.
    #[error("shard {shard} is not available: {reason}")]
    Unavailable {
        /// Which shard.
        shard: u16,
        /// Why.
        reason: String,
    },
    /// The node is draining and takes no new requests. Nothing happened.
    #[error("the node is draining")]
    Draining,
    /// The revision asked for is not one that this entity has.
    #[error("cannot subscribe: {reason}")]
    Subscription {
        /// Why.
        reason: String,
    },
}

/// The stable name of a [`CallError`], as in problem+json, logs and metrics.
pub type ErrorCode = &'static str;

impl CallError {
    /// Nobody here has that kind.
    #[must_use]
    pub fn unknown_kind(kind: &KindName) -> Self {
        Self::UnknownKind { kind: kind.to_string() }
    }

    /// The stable name.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownKind { .. } => "unknown_kind",
            Self::InvalidBody { .. } => "invalid_body",
            Self::Refused(_) => "refused",
            Self::Crashed => "crashed",
            Self::Quarantined { .. } => "quarantined",
            Self::UnreadableState { .. } => "unreadable_state",
            Self::Overloaded { .. } => "overloaded",
            Self::TooLarge { .. } => "too_large",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotCommitted => "not_committed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Unavailable { .. } => "unavailable",
            Self::Draining => "draining",
            Self::Subscription { .. } => "subscription",
        }
    }

    /// Whether the same request, with the same idempotency key, may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Quarantined { .. }
                | Self::Overloaded { .. }
                | Self::DeadlineExceeded
                | Self::NotCommitted
                | Self::OutcomeUnknown
                | Self::Unavailable { .. }
                | Self::Draining
        )
    }
}
