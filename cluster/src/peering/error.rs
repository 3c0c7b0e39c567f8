//! Why something did not work.

use crate::consensus::RaftId;

/// Why the link could not be started. Nothing is open.
#[derive(Debug, thiserror::Error)]
pub enum PeeringError {
    /// The listener could not be opened. Choose another address, or end who uses it.
    #[error("cannot listen for peers at {address}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Two settings contradict each other. Correct the one that is named.
    #[error("link settings: {0}")]
    Config(&'static str),
    /// What this node says about itself is longer than peers accept, or holds control characters. Shorten name, release,
    /// zone or track.
    #[error("what this node tells its peers about itself is not valid: {0}")]
    Local(String),
}

/// Why a frame was not put into the send buffer. Nothing of it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The send buffer holds its maximum: the peer reads too slowly. Try again later, or tell the caller.
    #[error("the send buffer is full")]
    Full,
    /// The session is closed, for ever. What was pushed before may or may not have arrived. Take the next session.
    #[error("the session is closed")]
    Closed,
    /// The frame is larger than this node or the peer accepts. Never try it again.
    #[error("the frame is too large")]
    TooLarge,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no session, or it closed before the answer came: the peer may or may not have seen the request.
    #[error("node {to:?} cannot be reached: {reason}")]
    Unreachable {
        /// To whom.
        to: RaftId,
        /// Why.
        reason: String,
    },
    /// A bound was reached, here or at the peer. The service has not seen the request. Try again later.
    #[error("too much is waiting for an answer")]
    Full,
    /// The service said no, there is no such service, or the request or its answer is larger than a frame.
    #[error("{0}")]
    Refused(String),
}
