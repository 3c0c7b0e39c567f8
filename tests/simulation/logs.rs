//! What nodes log, with simulated time, for whoever looks for the cause of a failure.

use std::fmt;

use tokio::time::Instant;
use tracing::Level;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

struct Simulated(Instant);

impl FormatTime for Simulated {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:>8.3} s", self.0.elapsed().as_secs_f64())
    }
}

/// Logs of this thread go to the output of the test, if `PLAYHOUSE_LOG` says a level. Dropping it ends that.
pub fn follow() -> Option<tracing::subscriber::DefaultGuard> {
    let level: Level = std::env::var("PLAYHOUSE_LOG").ok()?.parse().ok()?;
    let subscriber = tracing_subscriber::fmt()
        .with_timer(Simulated(Instant::now()))
        .with_ansi(false)
        .with_max_level(level)
        .finish();
    Some(tracing::subscriber::set_default(subscriber))
}
