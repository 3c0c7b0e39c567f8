//! What is known of a request before it is routed.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use compact_str::{CompactString, ToCompactString};
use playhouse_cluster::environment::Environment;

use super::{
    headers::{self, REQUEST_ID, TRACEPARENT, TRACESTATE},
    options::Options,
    problem::Problem,
};
use crate::{
    protocol::{RequestId, TraceContext},
    telemetry::traces::{SpanContext, TraceState},
};

/// One request at the gateway.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// On every response.
    pub(super) request_id: RequestId,
    pub(super) idempotency_key: Option<CompactString>,
    pub(super) timeout: Duration,
    /// The span of the gateway's own work.
    pub(super) span: SpanContext,
    pub(super) parent: Option<SpanContext>,
    state: Option<TraceState>,
}

impl Visit {
    /// Reads the headers. A header that cannot be read becomes the problem; the visit itself is always known.
    pub(super) fn read(
        headers: &HeaderMap,
        options: &Options,
        environment: &Environment,
    ) -> (Self, Result<(), Problem>) {
        let key = headers::idempotency_key(headers);
        let timeout = headers::request_timeout(headers, &options.requests);
        let parent = traceparent(headers);
        let visit = Self {
            request_id: request_id(key.as_ref().ok().and_then(Option::as_ref), environment),
            idempotency_key: key.as_ref().ok().cloned().flatten(),
            timeout: *timeout.as_ref().unwrap_or(&options.requests.timeout_default),
            span: options.traces.begin(parent, environment),
            state: parent.and_then(|_| tracestate(headers)),
            parent,
        };
        (visit, key.and(timeout).map(drop))
    }

    /// What goes on to the entity. Nobody needs to hear of a trace that began here and is not recorded.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let tracestate = self.state.as_ref().map(|state| state.as_str().into());
        let traceparent = || self.span.to_compact_string();
        (self.span.sampled || self.parent.is_some())
            .then(|| TraceContext { traceparent: traceparent(), tracestate })
    }

    /// The trace of a request without headers: a frame of a WebSocket connection.
    pub(super) fn trace_of(span: &SpanContext) -> Option<TraceContext> {
        let traceparent = || span.to_compact_string();
        span.sampled.then(|| TraceContext { traceparent: traceparent(), tracestate: None })
    }

    /// Writes `Request-Id` and `traceparent`.
    pub(super) fn sign(&self, headers: &mut HeaderMap) {
        let printable =
            |text: &str| HeaderValue::from_str(text).expect("it was read as printable ASCII or made here");
        headers.insert(REQUEST_ID, printable(&self.request_id.0));
        headers.insert(TRACEPARENT, printable(&self.span.to_compact_string()));
    }
}

/// The idempotency key if one was given, else a random id.
pub(super) fn request_id(idempotency_key: Option<&CompactString>, environment: &Environment) -> RequestId {
    idempotency_key.map_or_else(|| RequestId::random(environment), |key| RequestId(key.clone()))
}

fn traceparent(headers: &HeaderMap) -> Option<SpanContext> {
    SpanContext::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

fn tracestate(headers: &HeaderMap) -> Option<TraceState> {
    TraceState::join(headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()))
}
