//! What a test writes to the log, so that it can be asserted on.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// While only one subscriber exists, `tracing` asks that of the current thread alone whether a place that logs for the
/// first time is of interest, and remembers the answer for all threads: another test, without a subscriber, would
/// silence ours. These two make sure that there are always several.
static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();

/// The lines that this thread wrote while this lived.
pub(super) struct CapturedLog {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
    _guard: DefaultGuard,
}

impl CapturedLog {
    pub(super) fn start() -> Self {
        OTHERS.get_or_init(|| [Dispatch::new(NoSubscriber::new()), Dispatch::new(NoSubscriber::new())]);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let guard = tracing::subscriber::set_default(Capture(lines.clone()));
        Self { lines, _guard: guard }
    }

    /// The lines of our own crate that were not taken yet.
    pub(super) fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.lines.lock())
    }
}

struct Capture(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("playhouse")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}
