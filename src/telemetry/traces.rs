//! Spans: one trace from the client to the committed reply.
//!
//! A [`SpanContext`] travels as W3C `traceparent`, from the client to the gateway and on to the shard inside
//! [`protocol::TraceContext`](crate::protocol::TraceContext). Whoever did a part of the work [records](Traces::record)
//! it afterwards, with its begin and its end: nothing is kept open on the hot path, and a request that is not sampled
//! costs one comparison.
//!
//! The shard asks [`Traces::recorded`] once per request, with the `traceparent` it came with, keeps the answer beside the
//! moments that it measures anyway, and calls [`Traces::record_part`] when the reply leaves.
//!
//! | span | recorded by | parent | from | to |
//! |---|---|---|---|---|
//! | [`REQUEST`] | gateway | the client's span | head of the request read | reply or error known |
//! | [`MAILBOX_WAIT`] | shard | [`REQUEST`] | taken into the mailbox | its batch starts |
//! | [`EXECUTE`] | shard | [`REQUEST`] | the handler starts | the handler returns |
//! | [`COMMIT`] | shard | [`REQUEST`] | the batch is proposed | the batch is applied |

mod context;
mod exporter;
mod recorder;
mod span;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use context::{SpanContext, TraceState};
pub use exporter::ExporterError;
pub use recorder::{TraceOptions, Traces};
pub use span::{Role, Span};

/// Attribute of [`REQUEST`], [`MAILBOX_WAIT`], [`EXECUTE`]: the kind of the entity.
pub const KIND: &str = "playhouse.kind";
/// Attribute of every span of a shard: its number.
pub const SHARD: &str = "playhouse.shard";

/// The whole request, at the gateway.
pub const REQUEST: &str = "request";
/// Waiting in the mailbox of the shard.
pub const MAILBOX_WAIT: &str = "mailbox wait";
/// The handler.
pub const EXECUTE: &str = "execute";
/// Replication and sync of the batch.
pub const COMMIT: &str = "commit";
