//! Why something did not work.

use std::time::Duration;

/// Why remote references could not be started. Nothing runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two settings contradict each other. Correct the one that is named.
    #[error("settings of processes: {0}")]
    Config(&'static str),
    /// Another node of this operating system process has remote references, and registry and groups are process-wide. Start
    /// the nodes as processes of their own, or without remote processes.
    #[error("another node in this process has remote processes")]
    NotAlone,
    /// The supervisor of the sessions did not start.
    #[error("the supervisor of remote processes did not start")]
    Supervisor(#[source] ractor::SpawnErr),
}

/// Why there is no reference to a process of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The process runs on this node: use it as it is.
    #[error("the process runs on this node")]
    Local,
    /// The type of its messages has no bytes to be sent as. Make it serializable.
    #[error("messages of type {message} cannot be sent to another node")]
    NotRemotable {
        /// The type.
        message: &'static str,
    },
    /// The session that the mirror belongs to is over. Look for the process again.
    #[error("the peer of that process is not connected any more")]
    Lost,
}

/// Why a cast was not taken. The process has not seen it and never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// As many bytes wait for that peer as may: it reads too slowly, or not at all. Try again later, or tell the caller.
    #[error("too much waits to be sent to that peer")]
    Full,
    /// Never try it again.
    #[error("the message has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// The process has ended.
    #[error("the process has ended")]
    Gone,
    /// The peer is not connected any more. Look for the process again.
    #[error("the peer of that process is not connected any more")]
    Lost,
    /// The message is of another sort than that it was given as (a call as a cast, or the other way round), or uses the
    /// metadata of `ractor`, in which our own accounts travel. Change its type.
    #[error("the message cannot be sent")]
    NotRemotable,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not sent: the process has not seen it and never will.
    #[error(transparent)]
    NotSent(#[from] CastError),
    /// No answer within the time: the process may have dropped the reply, may be gone, or may still work on it.
    #[error("no answer within {within:?}")]
    Timeout {
        /// How long was waited.
        within: Duration,
    },
    /// The process ended before it answered, or its answer could not be read. It may have seen the call.
    #[error("the process ended before it answered")]
    Gone,
    /// The peer was lost before it answered. The process may have seen the call.
    #[error("the peer of that process was lost before it answered")]
    Lost,
}
