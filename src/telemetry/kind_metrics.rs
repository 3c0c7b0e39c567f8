//! The metrics of one kind, with the label already looked up.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::Families;

/// The label of all kinds that a node does not have: one for each name that somebody asks for would be without end.
pub const UNKNOWN_KIND: &str = "unknown";

/// What an executor counts for one kind. Take it once and keep it: looking up a label hashes strings and takes a
/// lock, which is too dear for every command.
#[derive(Clone, Debug)]
pub struct KindMetrics {
    /// Commands answered with a reply.
    pub calls_ok: IntCounter,
    /// From arrival in the mailbox to the reply.
    pub call_seconds: Histogram,
    /// Time that one handler ran.
    pub handler_seconds: Histogram,
    /// Handlers over 100 ms.
    pub slow_handlers: IntCounter,
    /// Handlers that panicked.
    pub crashes: IntCounter,
    /// Entities that refuse commands for a while.
    pub quarantined: IntGauge,
    /// Entities that are awake.
    pub resident: IntGauge,
    /// Entities woken from the store.
    pub wakes: IntCounter,
    /// Entities put to sleep.
    pub passivations: IntCounter,
    /// Casts that could not be delivered.
    pub dead_letters: IntCounter,
    calls: IntCounterVec,
    kind: Box<str>,
}

impl KindMetrics {
    pub(super) fn new(families: &Families, kind: &str) -> Self {
        let label = &[kind];
        // From the start, or the first one would be no increase to Prometheus.
        families.calls.with_label_values(&[kind, "overloaded"]);
        Self {
            calls_ok: families.calls.with_label_values(&[kind, "ok"]),
            call_seconds: families.call_seconds.with_label_values(label),
            handler_seconds: families.handler_seconds.with_label_values(label),
            slow_handlers: families.slow_handlers.with_label_values(label),
            crashes: families.crashes.with_label_values(label),
            quarantined: families.quarantined.with_label_values(label),
            resident: families.resident.with_label_values(label),
            wakes: families.wakes.with_label_values(label),
            passivations: families.passivations.with_label_values(label),
            dead_letters: families.dead_letters.with_label_values(label),
            calls: families.calls.clone(),
            kind: kind.into(),
        }
    }

    /// Counts a command that ended with the stable `code` of an error.
    pub fn call_failed(&self, code: &'static str) {
        self.calls.with_label_values(&[&*self.kind, code]).inc();
    }
}
