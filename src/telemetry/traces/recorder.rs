//! Where spans go.

use std::{sync::Arc, time::Duration};

use playhouse_cluster::environment::Environment;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    REQUEST, Role, Span, SpanContext,
    exporter::{Exporter, ExporterError},
};
use crate::telemetry::Metrics;

/// How many spans may wait for the collector. More are dropped and counted.
const QUEUE_SPANS_MAX: usize = 8192;
/// How many spans go in one message.
const BATCH_SPANS_MAX: usize = 512;
/// How long a span may wait for others to go with it.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Where spans go, and which are recorded.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// The collector, such as `http://collector:4318`; `/v1/traces` is added when there is no path.
    pub endpoint: String,
    /// Which share (0 to 1) of the requests is recorded that come without a decision of the client.
    pub sample: f64,
    /// The node's own name.
    pub node: String,
    /// The node's own release.
    pub release: String,
    /// How long the collector may take to answer; then the batch is dropped and counted.
    pub timeout: Duration,
}

/// Takes spans that are over. A cheap handle; it never waits, and a slow collector costs spans, not requests.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    recorder: Option<Arc<Recorder>>,
}

#[derive(Debug)]
struct Recorder {
    sample: f64,
    queue: mpsc::Sender<Order>,
    metrics: Metrics,
}

/// What the exporting task is told.
#[derive(Debug)]
enum Order {
    Export(Box<Span>),
    Flush(oneshot::Sender<()>),
}

impl Traces {
    /// Records nothing; contexts of clients are passed on all the same.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Exports to a collector, from a task of `environment`.
    ///
    /// # Errors
    ///
    /// When the endpoint is not an address. Whether somebody answers there is seen later, and never stops the node.
    pub fn export(
        options: &TraceOptions,
        metrics: Metrics,
        environment: &Environment,
    ) -> Result<Self, ExporterError> {
        let exporter = Exporter::new(options, environment.clone())?;
        let (queue, orders) = mpsc::channel(QUEUE_SPANS_MAX);
        environment.spawn(export(orders, exporter, metrics.clone()));
        Ok(Self { recorder: Some(Arc::new(Recorder { sample: options.sample, queue, metrics })) })
    }

    /// The context of a span that begins now, as a child of what the client sent, or as the root of a new trace.
    /// The client's decision counts; without one, chance decides.
    #[must_use]
    pub fn begin(&self, parent: Option<SpanContext>, environment: &Environment) -> SpanContext {
        match parent {
            Some(parent) => parent.child(environment.random_u64()),
            None => SpanContext {
                trace_id: environment.random_u128().max(1),
                span_id: environment.random_u64().max(1),
                sampled: self.draw(environment),
            },
        }
    }

    fn draw(&self, environment: &Environment) -> bool {
        let share = self.recorder.as_ref().map_or(0.0, |recorder| recorder.sample);
        share > 0.0 && environment.random_u64() as f64 <= share * u64::MAX as f64
    }

    /// Whether spans of this context are recorded at all. Ask before a span is put together.
    #[must_use]
    pub fn wants(&self, context: &SpanContext) -> bool {
        context.sampled && self.recorder.is_some()
    }

    /// Takes a span, if it is sampled.
    pub fn record(&self, span: Span) {
        let Some(recorder) = self.recorder.as_ref().filter(|_| span.context.sampled) else { return };
        if recorder.queue.try_send(Order::Export(Box::new(span))).is_err() {
            recorder.metrics.spans_dropped.inc();
        }
    }

    /// Takes the span of a whole request, if it is sampled; `attributes` are only made then.
    pub fn record_request(
        &self,
        context: &SpanContext,
        parent: Option<SpanContext>,
        (began, ended): (Instant, Instant),
        error: Option<&'static str>,
        attributes: impl FnOnce() -> Vec<(&'static str, String)>,
    ) {
        if self.wants(context) {
            let (context, attributes) = (*context, attributes());
            self.record(Span {
                name: REQUEST,
                context,
                parent,
                role: Role::Server,
                began,
                ended,
                error,
                attributes,
            });
        }
    }

    /// The context of a request whose parts are recorded; `None`, for a comparison or two, when they are not.
    #[must_use]
    pub fn recorded(&self, traceparent: &str) -> Option<SpanContext> {
        self.recorder.as_ref()?;
        SpanContext::parse(traceparent).filter(|context| context.sampled)
    }

    /// Takes the span of a part of a request, such as [`COMMIT`](super::COMMIT). `request` comes from
    /// [`recorded`](Self::recorded).
    pub fn record_part(
        &self,
        request: SpanContext,
        name: &'static str,
        (began, ended): (Instant, Instant),
        environment: &Environment,
        attributes: Vec<(&'static str, String)>,
    ) {
        let context = request.child(environment.random_u64());
        let parent = Some(request);
        self.record(Span {
            name,
            context,
            parent,
            role: Role::Internal,
            began,
            ended,
            error: None,
            attributes,
        });
    }

    /// Waits until everything recorded so far was sent or dropped. For the end of a drain.
    pub async fn flush(&self) {
        let Some(recorder) = &self.recorder else { return };
        let (done, flushed) = oneshot::channel();
        if recorder.queue.send(Order::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

/// Sends batches until the last handle is gone.
async fn export(mut orders: mpsc::Receiver<Order>, mut exporter: Exporter, metrics: Metrics) {
    let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
    while let Some(first) = orders.recv().await {
        let flushed = gather(first, &mut orders, &mut batch).await;
        let lost = exporter.send(std::mem::take(&mut batch)).await;
        metrics.spans_dropped.inc_by(lost);
        // Whoever asked may have left meanwhile.
        let _ = flushed.map(|done| done.send(()));
    }
}

/// Fills the batch until it is full, old enough, or asked for.
async fn gather(
    first: Order,
    orders: &mut mpsc::Receiver<Order>,
    batch: &mut Vec<Span>,
) -> Option<oneshot::Sender<()>> {
    let mut next = Some(first);
    let mut old_enough = std::pin::pin!(tokio::time::sleep(BATCH_DELAY));
    loop {
        match next {
            Some(Order::Export(span)) => batch.push(*span),
            Some(Order::Flush(done)) => return Some(done),
            None => return None,
        }
        if batch.len() >= BATCH_SPANS_MAX {
            return None;
        }
        next = tokio::select! {
            order = orders.recv() => order,
            () = old_enough.as_mut() => return None,
        };
    }
}
