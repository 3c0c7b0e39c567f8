//! Whether an event loop still turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use playhouse_cluster::environment::Environment;
use tokio::time::Instant;

/// One of the two runtimes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Consensus, link, gateway and ops.
    Core,
    /// User code.
    Executors,
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Executors => "executors",
        }
    }
}

/// A task that notes the time, again and again. While its runtime makes progress, the note is fresh.
///
/// It says nothing about load, peers or disks: a node that is busy or alone must not be killed for it.
#[derive(Debug)]
pub struct Pulse {
    runtime: Runtime,
    silence_max: Duration,
    heart: Arc<Heart>,
    environment: Environment,
}

#[derive(Debug)]
struct Heart {
    origin: Instant,
    /// Milliseconds after `origin`.
    last_beat_ms: AtomicU64,
}

impl Pulse {
    /// Starts the task on `runtime`. It is stuck when it was silent for longer than `silence_max`; be generous (10 s),
    /// a paused virtual machine is not a reason to kill the node.
    #[must_use]
    pub fn start(runtime: Runtime, silence_max: Duration, environment: &Environment) -> Self {
        let heart = Arc::new(Heart { origin: environment.now(), last_beat_ms: AtomicU64::new(0) });
        let beating = beat(Arc::downgrade(&heart), silence_max / 10, environment.clone());
        match runtime {
            Runtime::Core => drop(environment.spawn(beating)),
            Runtime::Executors => drop(environment.spawn_executor(beating)),
        }
        Self { runtime, silence_max, heart, environment: environment.clone() }
    }

    /// Whether the loop turns; else, how long it has not.
    pub(super) fn look(&self) -> Result<(), String> {
        let last = self.heart.origin + Duration::from_millis(self.heart.last_beat_ms.load(Ordering::Relaxed));
        let silence = self.environment.now().saturating_duration_since(last);
        if silence <= self.silence_max {
            return Ok(());
        }
        Err(format!(
            "runtime {} has made no progress for {:.1} s",
            self.runtime.name(),
            silence.as_secs_f64()
        ))
    }

    pub(super) fn name(&self) -> &'static str {
        self.runtime.name()
    }
}

async fn beat(heart: std::sync::Weak<Heart>, interval: Duration, environment: Environment) {
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    while let Some(heart) = heart.upgrade() {
        let since = environment.now() - heart.origin;
        heart.last_beat_ms.store(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        drop(heart);
        ticks.tick().await;
    }
}
