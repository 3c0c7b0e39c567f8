//! Why one attempt failed, and what is known when all of them did.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::{Address, IdempotencyKey, Problem};

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be opened. Nothing was sent.
    #[error("could not connect to {address}")]
    Connect {
        /// Which gateway.
        address: Address,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The connection broke before a whole answer was there. The request may have taken effect.
    #[error("the connection to {address} broke before the answer")]
    Broken {
        /// Which gateway.
        address: Address,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No answer came in time. The request may have taken effect.
    #[error("{address} did not answer within {waited:?}")]
    Silent {
        /// Which gateway.
        address: Address,
        /// How long we waited.
        waited: Duration,
    },
    /// No answer came over a connection that is shared with others. The request may have taken effect.
    #[error("there was no answer within {waited:?}")]
    Unanswered {
        /// How long we waited.
        waited: Duration,
    },
    /// The answer is larger than this client accepts. The request may have taken effect.
    #[error("the answer of {address} has more than {bytes_max} bytes")]
    Oversized {
        /// Which gateway.
        address: Address,
        /// The limit, from [`Config::response_bytes_max`](crate::Config::response_bytes_max).
        bytes_max: usize,
    },
    /// The server answered that it cannot do it now.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// It was still waiting to be sent when its time was over. Nothing was sent.
    #[error("it was not sent: {0}")]
    NotSent(&'static str),
}

impl Failure {
    /// Whether it is certain that this attempt had no effect.
    #[must_use]
    pub fn nothing_happened(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::NotSent(_) => true,
            Self::Problem(problem) => problem.nothing_happened(),
            _ => false,
        }
    }

    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.is_retryable(),
            Self::Oversized { .. } | Self::Unanswered { .. } | Self::NotSent(_) => false,
            Self::Connect { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
        }
    }

    /// Whether another gateway may do better at once.
    pub(crate) fn blames_gateway(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.blames_gateway(),
            Self::Oversized { .. } | Self::Unanswered { .. } | Self::NotSent(_) => false,
            Self::Connect { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after(),
            _ => None,
        }
    }
}

/// What is known of the effects of an operation that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It certainly had none.
    NothingHappened,
    /// It may have had them, once. Ask again with the same idempotency key to learn it.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingHappened => "nothing happened",
            Self::Unknown => "it may have taken effect once",
        })
    }
}

/// There was no answer in time, however often it was tried.
#[derive(Debug, thiserror::Error)]
#[error("gave up after {attempts} attempts in {elapsed:.1?}; {outcome}")]
pub struct GaveUp {
    /// How often it was tried.
    pub attempts: u32,
    /// How long all of it took.
    pub elapsed: Duration,
    /// What is known of its effects.
    pub outcome: Outcome,
    /// With which key it may be tried again without a second effect; none for reads.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What went wrong last.
    #[source]
    pub last: Failure,
}
