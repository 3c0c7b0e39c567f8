//! Where spans go.

use playhouse_cluster::environment::Environment;

use super::SpanContext;

/// Takes spans that are over. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Traces {}

impl Traces {
    /// Records nothing; contexts are passed on all the same.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// The context of a span that begins now, as a child of what the client sent, or as the root of a new trace.
    #[must_use]
    pub fn begin(&self, parent: Option<SpanContext>, environment: &Environment) -> SpanContext {
        match parent {
            Some(parent) => parent.child(environment.random_u64()),
            None => SpanContext {
                trace_id: environment.random_u128().max(1),
                span_id: environment.random_u64().max(1),
                sampled: false,
            },
        }
    }
}
