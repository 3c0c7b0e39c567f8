//! How long the end of a pod takes.
//!
//! ```text
//! deleted ── PAUSE ──▶ SIGTERM ── at most DRAIN_BUDGET ──▶ ended by itself        SIGKILL
//! ├───────────────────────────────────── GRACE ──────────────────────────────────────┤
//! ```

use std::time::Duration;

/// How long a pod serves on after its end began, so that nobody sends it new connections any more when it closes its port.
pub const PAUSE: Duration = Duration::from_secs(5);

/// How long the node may take from SIGTERM to its end: `drain.budget`.
pub const DRAIN_BUDGET: Duration = Duration::from_secs(25);

/// When a pod is killed that has not ended: `terminationGracePeriodSeconds`.
pub const GRACE: Duration = Duration::from_secs(45);

/// What is left for a disk that is slow to close.
const SLACK_MIN: Duration = Duration::from_secs(10);

const _: () = assert!(GRACE.as_secs() >= PAUSE.as_secs() + DRAIN_BUDGET.as_secs() + SLACK_MIN.as_secs());
