//! OTLP over HTTP. The only file that knows OpenTelemetry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext as OtelContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use playhouse_cluster::environment::Environment;
use tokio::time::Instant;

use super::{Role, Span, SpanContext, TraceOptions};

/// When the clock of the operating system has moved by so much against the monotonic one, spans follow it.
const DRIFT_MS_MAX: u64 = 20;

/// The exporter cannot be made. Nothing is exported.
#[derive(Debug, thiserror::Error)]
#[error("cannot export traces to {endpoint}")]
pub struct ExporterError {
    endpoint: String,
    #[source]
    source: opentelemetry_otlp::ExporterBuildError,
}

/// Sends batches to a collector.
#[derive(Debug)]
pub(super) struct Exporter {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    environment: Environment,
    anchor: Anchor,
    timeout: Duration,
    /// So that a collector that is away is told once, not once per batch.
    failing: bool,
}

/// What the wall clock said at a moment of the monotonic one.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    moment: Instant,
    wall_ms: u64,
}

impl Exporter {
    pub(super) fn new(options: &TraceOptions, environment: Environment) -> Result<Self, ExporterError> {
        let endpoint = with_path(&options.endpoint);
        let builder =
            SpanExporter::builder().with_http().with_endpoint(&endpoint).with_timeout(options.timeout);
        let mut exporter = builder.build().map_err(|source| ExporterError { endpoint, source })?;
        exporter.set_resource(&resource(options));
        let scope = InstrumentationScope::builder("playhouse").with_version(options.release.clone()).build();
        let anchor = Anchor { moment: environment.now(), wall_ms: environment.wall_ms() };
        Ok(Self { exporter, scope, environment, anchor, timeout: options.timeout, failing: false })
    }

    /// Sends them all; how many were lost.
    pub(super) async fn send(&mut self, spans: Vec<Span>) -> u64 {
        if spans.is_empty() {
            return 0;
        }
        self.follow_the_clock();
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let batch = spans.into_iter().map(|span| self.data(span)).collect();
        match tokio::time::timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => self.succeeded(),
            Ok(Err(error)) => self.failed(&error.to_string(), count),
            Err(_) => self.failed("no answer in time", count),
        }
    }

    fn succeeded(&mut self) -> u64 {
        self.failing = false;
        0
    }

    fn failed(&mut self, error: &str, count: u64) -> u64 {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(error, spans = count, "spans are lost until the collector answers");
        }
        count
    }

    fn follow_the_clock(&mut self) {
        let now = Anchor { moment: self.environment.now(), wall_ms: self.environment.wall_ms() };
        if now.wall_ms.abs_diff(self.anchor.wall_ms_at(now.moment)) > DRIFT_MS_MAX {
            self.anchor = now;
        }
    }

    fn data(&self, span: Span) -> SpanData {
        let parent =
            span.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id.to_be_bytes()));
        let kind = match span.role {
            Role::Server => SpanKind::Server,
            Role::Internal => SpanKind::Internal,
        };
        let attributes = span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let error = span.error.map(|code| KeyValue::new("error.type", code));
        SpanData {
            span_context: context(&span.context),
            parent_span_id: parent,
            parent_span_is_remote: span.role == Role::Server,
            span_kind: kind,
            name: span.name.into(),
            start_time: self.anchor.time(span.began),
            end_time: self.anchor.time(span.ended),
            attributes: attributes.chain(error).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl Anchor {
    fn wall_ms_at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.moment).as_millis();
        self.wall_ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn time(&self, moment: Instant) -> SystemTime {
        let anchor = UNIX_EPOCH + Duration::from_millis(self.wall_ms);
        match moment.checked_duration_since(self.moment) {
            Some(since) => anchor + since,
            None => anchor - self.moment.duration_since(moment),
        }
    }
}

fn context(context: &SpanContext) -> OtelContext {
    let trace_id = TraceId::from_bytes(context.trace_id.to_be_bytes());
    let span_id = SpanId::from_bytes(context.span_id.to_be_bytes());
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    OtelContext::new(trace_id, span_id, flags, false, TraceState::NONE)
}

fn resource(options: &TraceOptions) -> Resource {
    let attributes = [
        KeyValue::new("service.name", "playhouse"),
        KeyValue::new("service.version", options.release.clone()),
        KeyValue::new("service.instance.id", options.node.clone()),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}

/// OTLP's own path, unless the operator gave one.
fn with_path(endpoint: &str) -> String {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let base = endpoint.trim_end_matches('/');
    if authority.trim_end_matches('/').contains('/') {
        endpoint.to_owned()
    } else {
        format!("{base}/v1/traces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_otlp_is_added_unless_there_is_one() {
        assert_eq!(with_path("http://collector:4318"), "http://collector:4318/v1/traces");
        assert_eq!(with_path("http://collector:4318/"), "http://collector:4318/v1/traces");
        assert_eq!(with_path("http://collector/otlp/v1/traces"), "http://collector/otlp/v1/traces");
    }
}
