//! Metrics, logs and traces, each declared once.
//!
//! Comes in: numbers and spans of every other room. Leaves: Prometheus text, log lines on stderr, OTLP spans.
//! This room knows no other room, and keeps nothing process-wide except the log subscriber of `main`.
//!
//! ```
//! use playhouse::telemetry::Metrics;
//!
//! let metrics = Metrics::new("0.1.0");
//! metrics.kind("counter").wakes.inc();
//! assert!(metrics.render().contains("playhouse_wakes_total{kind=\"counter\"} 1"));
//! ```

mod declaration;
mod families;
mod kind_metrics;
mod logs;
mod metrics;
pub mod traces;

pub use declaration::{Declaration, Unit};
pub use families::{Families, TABLE};
pub use kind_metrics::{KindMetrics, UNKNOWN_KIND};
pub use logs::{InstallError, LogFormat, LogLevels, LogLevelsError, install, subscriber};
pub use metrics::Metrics;
