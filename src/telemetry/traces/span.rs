//! A piece of work that is over.

use tokio::time::Instant;

use super::SpanContext;

/// Who did the work, from the trace's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It answered a client.
    Server,
    /// It was a part of the node's own work.
    Internal,
}

/// A span, recorded when its work is over.
#[derive(Clone, Debug)]
pub struct Span {
    /// One of the names of this room, such as [`REQUEST`](super::REQUEST).
    pub name: &'static str,
    /// Its own name in the trace.
    pub context: SpanContext,
    /// The span that caused it, if there is one.
    pub parent: Option<SpanContext>,
    /// Who did the work.
    pub role: Role,
    /// When it began.
    pub began: Instant,
    /// When it was over.
    pub ended: Instant,
    /// The stable code of the error that it ended with.
    pub error: Option<&'static str>,
    /// What else is worth knowing, such as the kind. Never a body, never a token.
    pub attributes: Vec<(&'static str, String)>,
}
