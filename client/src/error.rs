//! One error per operation.

use crate::{AddressError, GaveUp, IdempotencyKey, Problem};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is nobody to talk to.
    #[error("no gateway address was given")]
    NoAddress,
    /// One of the addresses cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The certificates that the operating system trusts could not be read.
    #[error("could not read the trusted certificates of this machine")]
    Certificates(#[source] std::io::Error),
}

/// The entity said no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// A stable word chosen by the kind, such as `insufficient_funds`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether it is about the state (HTTP 409): the same command may be fine later. Otherwise (422) the command
    /// itself makes no sense for this entity.
    pub conflict: bool,
}

impl Refusal {
    /// The refusal inside a problem, if it is one.
    pub(crate) fn of(problem: &Problem) -> Option<Self> {
        (problem.code == "refused").then(|| Self {
            code: problem.refusal.clone().unwrap_or_default(),
            message: problem.detail.clone(),
            conflict: problem.status == 409,
        })
    }
}

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The command could not be written as JSON. Nothing was sent.
    #[error("the command cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The entity said no. Nothing changed.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The server will not do it, however often it is asked.
    ///
    /// Nothing changed, except when [`Problem::nothing_happened`] says that this is not certain.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// There was no answer in time; [`GaveUp::outcome`] says what is known.
    #[error(transparent)]
    GaveUp(Box<GaveUp>),
    /// The command took effect, but the reply is not of the expected type.
    #[error("the command took effect, but its reply is not as expected: {reply}")]
    Decode {
        /// What was expected.
        #[source]
        source: serde_json::Error,
        /// The beginning of the reply.
        reply: String,
    },
}

/// Why it is not known that a cast was committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CastError {
    /// The command could not be written as JSON. Nothing was sent.
    #[error("the command cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The entity said no. Nothing changed.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The server will not do it, however often it is asked.
    ///
    /// Nothing changed, except when [`Problem::nothing_happened`] says that this is not certain.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// There was no answer in time; [`GaveUp::outcome`] says what is known.
    #[error(transparent)]
    GaveUp(Box<GaveUp>),
}

/// Why something could not be read. Reading changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The server will not answer this, however often it is asked.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// There was no answer in time.
    #[error(transparent)]
    GaveUp(Box<GaveUp>),
    /// The answer is not of the expected type.
    #[error("the answer is not as expected: {answer}")]
    Decode {
        /// What was expected.
        #[source]
        source: serde_json::Error,
        /// The beginning of the answer.
        answer: String,
    },
}

/// Why there is no WebSocket connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server will not open one, for example because the token is not valid.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// No gateway opened one in time.
    #[error(transparent)]
    GaveUp(Box<GaveUp>),
}

/// How an operation ends without an answer, before it is told as one of the errors above.
#[derive(Debug)]
pub(crate) enum Ended {
    Rejected(Box<Problem>),
    GaveUp(Box<GaveUp>),
}

impl From<Ended> for CallError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Rejected(problem) => match Refusal::of(&problem) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Rejected(problem),
            },
            Ended::GaveUp(gave_up) => Self::GaveUp(gave_up),
        }
    }
}

impl From<Ended> for CastError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Rejected(problem) => match Refusal::of(&problem) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Rejected(problem),
            },
            Ended::GaveUp(gave_up) => Self::GaveUp(gave_up),
        }
    }
}

impl From<Ended> for ReadError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Rejected(problem) => Self::Rejected(problem),
            Ended::GaveUp(gave_up) => Self::GaveUp(gave_up),
        }
    }
}

impl From<Ended> for ConnectError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Rejected(problem) => Self::Rejected(problem),
            Ended::GaveUp(gave_up) => Self::GaveUp(gave_up),
        }
    }
}

impl CallError {
    /// With which key the same command may be sent again without a second effect.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        match self {
            Self::GaveUp(gave_up) => gave_up.idempotency_key.as_ref(),
            _ => None,
        }
    }
}

/// The first characters of what the server sent, for an error message.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}
