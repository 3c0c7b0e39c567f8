//! What an executor tells operators: metrics, and the parts of traced requests.

use std::collections::VecDeque;

use playhouse_cluster::environment::Environment;
use tokio::time::{Duration, Instant};

use super::{
    core::{Core, Counted},
    envelope::Message,
};
use crate::{
    entity::{KindIndex, KindRegistry, TableStatistics},
    protocol::ShardId,
    telemetry::{
        KindMetrics, Metrics,
        traces::{self, SpanContext, Traces},
    },
};

/// Handlers that run longer are counted and logged.
pub(super) const SLOW_HANDLER: Duration = Duration::from_millis(100);

/// Counts for one executor. Takes its gauges back when it ends.
pub(super) struct Meter {
    metrics: Metrics,
    traces: Traces,
    environment: Environment,
    shard: ShardId,
    kinds: Vec<Kind>,
    /// Traced requests whose proposal is on its way.
    traced: VecDeque<(u64, SpanContext)>,
}

struct Kind {
    name: String,
    metrics: KindMetrics,
    told: TableStatistics,
}

/// A command that is about to run.
pub(super) struct Started {
    kind: KindIndex,
    span: Option<SpanContext>,
}

impl Meter {
    pub(super) fn new(
        metrics: &Metrics,
        traces: &Traces,
        environment: &Environment,
        shard: ShardId,
        kinds: &KindRegistry,
    ) -> Self {
        let kind = |name: &str| Kind {
            name: name.to_owned(),
            metrics: metrics.kind(name),
            told: TableStatistics::default(),
        };
        Self {
            metrics: metrics.clone(),
            traces: traces.clone(),
            environment: environment.clone(),
            shard,
            kinds: kinds.descriptions().map(|description| kind(description.kind.as_str())).collect(),
            traced: VecDeque::new(),
        }
    }

    /// Messages were taken from the mailbox at once.
    pub(super) fn batch(&self, messages: usize) {
        self.metrics.batch_messages.observe(count(messages));
    }

    /// A command of a client is about to run; `None` for everything else, which is not measured one by one.
    pub(super) fn start(&self, message: &Message, now: Instant) -> Option<Started> {
        let Message::Command(envelope) = message else { return None };
        let more = envelope.more.as_ref()?;
        let arrived = more.arrived?;
        self.metrics.mailbox_wait_seconds.observe(now.duration_since(arrived).as_secs_f64());
        let span = more.trace.as_ref().and_then(|trace| self.traces.recorded(&trace.traceparent));
        if let Some(request) = span {
            self.part(request, traces::MAILBOX_WAIT, (arrived, now), Some(envelope.kind));
        }
        Some(Started { kind: envelope.kind, span })
    }

    /// A command has run. `proposal` is the one that its effects are part of.
    pub(super) fn ran(&mut self, started: &Started, ran: (Instant, Instant), proposal: Option<u64>) {
        let took = ran.1.duration_since(ran.0);
        let metrics = &self.kinds[usize::from(started.kind.0)].metrics;
        metrics.handler_seconds.observe(took.as_secs_f64());
        if let Some(request) = started.span {
            self.part(request, traces::EXECUTE, ran, Some(started.kind));
            self.traced.extend(proposal.map(|number| (number, request)));
        }
    }

    /// Anything ran; `kind` is known for commands of clients. Returns whether it took too long.
    pub(super) fn slow(&self, took: Duration, kind: Option<KindIndex>) -> bool {
        if took <= SLOW_HANDLER {
            return false;
        }
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let kind = kind.map(|kind| &self.kinds[usize::from(kind.0)]);
        if let Some(kind) = kind {
            kind.metrics.slow_handlers.inc();
        }
        let kind = kind.map_or("", |kind| kind.name.as_str());
        tracing::warn!(shard = self.shard.0, kind, ms, "a handler ran for too long; it stops its shard");
        true
    }

    /// A proposal was made.
    pub(super) fn proposed(&self, bytes: usize) {
        self.metrics.proposal_bytes.observe(count(bytes));
    }

    /// A proposal that was made at `made` is committed.
    pub(super) fn committed(&mut self, number: u64, made: Instant, now: Instant) {
        self.metrics.commit_seconds.observe(now.duration_since(made).as_secs_f64());
        while let Some((_, request)) = self.traced.pop_front_if(|(traced, _)| *traced <= number) {
            self.part(request, traces::COMMIT, (made, now), None);
        }
    }

    /// Tells what the tables counted since the last time.
    pub(super) fn tables(&mut self, core: &Core) {
        for (kind, now) in self.kinds.iter_mut().zip(core.table_statistics()) {
            kind.tell(now);
        }
    }

    /// Adds what the core counted.
    pub(super) fn counted(&self, counted: Counted) {
        let Counted { dead_letters, timers_deferred } = counted;
        for (kind, count) in dead_letters {
            self.metrics.dead_letters.with_label_values(&[kind.as_str()]).inc_by(count);
        }
        for (kind, count) in timers_deferred {
            self.metrics.timers_deferred.with_label_values(&[kind.as_str()]).inc_by(count);
        }
    }

    fn part(
        &self,
        request: SpanContext,
        name: &'static str,
        when: (Instant, Instant),
        kind: Option<KindIndex>,
    ) {
        let mut attributes = vec![(traces::SHARD, self.shard.to_string())];
        attributes.extend(kind.map(|kind| (traces::KIND, self.kinds[usize::from(kind.0)].name.clone())));
        self.traces.record_part(request, name, when, &self.environment, attributes);
    }
}

impl Kind {
    fn tell(&mut self, now: TableStatistics) {
        let (told, metrics) = (self.told, &self.metrics);
        metrics.wakes.inc_by(now.woken.saturating_sub(told.woken));
        metrics.passivations.inc_by(now.passivated.saturating_sub(told.passivated));
        metrics.crashes.inc_by(now.crashed.saturating_sub(told.crashed));
        metrics.resident.add(difference(now.resident, told.resident));
        metrics.quarantined.add(difference(now.quarantined, told.quarantined));
        self.told = now;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        for kind in &self.kinds {
            kind.metrics.resident.sub(difference(kind.told.resident, 0));
            kind.metrics.quarantined.sub(difference(kind.told.quarantined, 0));
        }
    }
}

fn difference(now: usize, before: usize) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
}

#[allow(clippy::cast_precision_loss)] // A count above 2^53 is not met.
fn count(number: usize) -> f64 {
    number as f64
}
