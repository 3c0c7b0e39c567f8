//! How a request that failed is called.

use std::borrow::Cow;

use playhouse_client::{CallError, CastError, Failure, GaveUp, ReadError};

use crate::causes::chain;

/// It was not sent: as many requests were waiting or unanswered as the plan allows.
pub const IN_FLIGHT_FULL: &str = "in_flight_full";
/// It was not sent: it waited for a connection until its time was over.
pub const NOT_SENT: &str = "not_sent";
/// No gateway took a connection.
pub const NO_CONNECTION: &str = "no_connection";
/// The connection broke before the answer. It may have taken effect.
pub const CONNECTION_LOST: &str = "connection_lost";
/// Nothing was heard in time. It may have taken effect.
pub const NO_ANSWER: &str = "no_answer";
/// The answer is not one of a gateway, or too large.
pub const UNEXPECTED_ANSWER: &str = "unexpected_answer";

/// Why a request failed: the code of the gateway's problem, `refused.` and the code of the kind, or one of the constants beside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Fault {
    /// The stable name, under which it is counted.
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: String,
}

impl Fault {
    /// One of the constants.
    pub(super) fn named(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), detail: detail.into() }
    }

    fn coded(code: String, detail: &dyn std::fmt::Display) -> Self {
        Self { code: Cow::Owned(code), detail: detail.to_string() }
    }

    fn gave_up(gave_up: &GaveUp) -> Self {
        let words = || chain(&gave_up.last);
        match &gave_up.last {
            Failure::Problem(problem) => Self::coded(problem.code.clone(), &**problem),
            Failure::Connect { .. } => Self::named(NO_CONNECTION, words()),
            Failure::Broken { .. } => Self::named(CONNECTION_LOST, words()),
            Failure::Silent { .. } | Failure::Unanswered { .. } => Self::named(NO_ANSWER, words()),
            Failure::NotSent(_) => Self::named(NOT_SENT, words()),
            _ => Self::named(UNEXPECTED_ANSWER, words()),
        }
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => Self::coded(format!("refused.{}", refusal.code), &refusal),
            CallError::Rejected(problem) => Self::coded(problem.code.clone(), &*problem),
            CallError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::named(UNEXPECTED_ANSWER, error.to_string()),
        }
    }
}

impl From<CastError> for Fault {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Refused(refusal) => Self::coded(format!("refused.{}", refusal.code), &refusal),
            CastError::Rejected(problem) => Self::coded(problem.code.clone(), &*problem),
            CastError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::named(UNEXPECTED_ANSWER, error.to_string()),
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rejected(problem) => Self::coded(problem.code.clone(), &*problem),
            ReadError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::named(UNEXPECTED_ANSWER, error.to_string()),
        }
    }
}
