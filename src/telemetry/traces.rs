//! Spans: one trace from the client to the committed reply.
//!
//! A [`SpanContext`] travels as W3C `traceparent`, from the client to the gateway and on to the shard inside
//! [`protocol::TraceContext`](crate::protocol::TraceContext). Whoever did a part of the work [records](Traces::record)
//! it afterwards, with its begin and its end: nothing is kept open on the hot path, and a request that is not sampled
//! costs one comparison.
//!
//! | span | recorded by | parent | from | to |
//! |---|---|---|---|---|
//! | [`REQUEST`] | gateway | the client's span | head of the request read | reply or error known |
//! | [`MAILBOX_WAIT`] | shard | [`REQUEST`] | taken into the mailbox | its batch starts |
//! | [`EXECUTE`] | shard | [`REQUEST`] | the handler starts | the handler returns |
//! | [`COMMIT`] | shard | [`REQUEST`] | the batch is proposed | the batch is applied |

mod context;
mod recorder;

pub use context::{SpanContext, TraceState};
pub use recorder::Traces;

/// The whole request, at the gateway.
pub const REQUEST: &str = "request";
/// Waiting in the mailbox of the shard.
pub const MAILBOX_WAIT: &str = "mailbox wait";
/// The handler.
pub const EXECUTE: &str = "execute";
/// Replication and sync of the batch.
pub const COMMIT: &str = "commit";
