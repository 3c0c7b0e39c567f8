//! What the rows must reach. Whether they do is computed from reports, never written down.

use crate::{Unit, figures::show};

/// What one row must reach.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Rows that are measured together.
    pub group: &'static str,
    /// The work of the row.
    pub work: &'static str,
    /// Who does it: [`OURS`](crate::table::OURS), and how.
    pub who: &'static str,
    /// Which of the runs counts.
    pub of: Statistic,
    /// How much it must be.
    pub aim: Aim,
}

/// Which figure of several runs counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The one in the middle.
    Median,
    /// Where many are measured: one in a hundred may be worse.
    P99,
    /// None may be worse.
    Max,
}

/// How much a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// Not less than this.
    AtLeast(f64, Unit),
    /// Not more than this.
    AtMost(f64, Unit),
    /// So many times what a peer has in the same run: at least where more is better, at most where less is.
    Times(f64, &'static str),
}

impl Target {
    const fn new(group: &'static str, work: &'static str, who: &'static str, aim: Aim) -> Self {
        Self { group, work, who, of: Statistic::Median, aim }
    }

    const fn of(self, of: Statistic) -> Self {
        Self { of, ..self }
    }

    /// How we do it, such as `, encryption off`.
    #[must_use]
    pub fn how(&self) -> &'static str {
        self.who.strip_prefix(crate::table::OURS).unwrap_or_default()
    }
}

impl Statistic {
    /// What stands before a target; nothing for the usual one.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Median => "",
            Self::P99 => "p99 ",
            Self::Max => "max ",
        }
    }
}

impl Aim {
    /// As a page shows it.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(value, unit) => format!("≥ {}", show(unit, value)),
            Self::AtMost(value, unit) => format!("≤ {}", show(unit, value)),
            Self::Times(times, peer) if times < 1.0 => format!("{:.0} % of {peer}", times * 100.0),
            Self::Times(times, peer) => format!("{times} × {peer}"),
        }
    }
}

use Aim::{AtLeast, AtMost, Times};
use Statistic::{Max, P99};
use Unit::{Bytes, Count, Nanoseconds, PerSecond, Percent};

const MS: f64 = 1e6;
const SECOND: f64 = 1e9;

/// All of them, in the order in which a page shows them.
pub const TARGETS: &[Target] = &[
    Target::new("cast", "local cast", "Playhouse, 1 sender", AtLeast(10e6, PerSecond)),
    Target::new("call", "local call, 64 callers", "Playhouse", AtLeast(6e6, PerSecond)),
    Target::new("durable-append", "durable append, 64 writers", "Playhouse", AtLeast(117e3, PerSecond)),
    Target::new("resident", "resident entity, above its struct", "Playhouse", AtMost(200.0, Bytes)),
    Target::new(
        "remote-cast",
        "remote cast, 16 B",
        "Playhouse, 1 sender, encryption off",
        AtLeast(4e6, PerSecond),
    ),
    Target::new(
        "remote-cast",
        "remote cast, 1024 B",
        "Playhouse, 1 sender, encryption off",
        AtLeast(1.2e6, PerSecond),
    ),
    Target::new(
        "remote-cast",
        "remote cast, 1024 B",
        "Playhouse, 2 senders, encryption off",
        AtLeast(1.2e6, PerSecond),
    ),
    Target::new(
        "remote-call",
        "remote call, 1 caller, p50",
        "Playhouse, encryption off",
        Times(1.3, "raw frames"),
    ),
    Target::new(
        "remote-call",
        "remote call, 1 caller, p99",
        "Playhouse, encryption off",
        Times(1.3, "raw frames"),
    ),
    Target::new(
        "remote-call",
        "remote call, 512 callers",
        "Playhouse, encryption off",
        AtLeast(350e3, PerSecond),
    ),
    Target::new("replicated", "replicated call, 512 callers, 1000 keys", "Playhouse", Times(5.0, "etcd")),
    Target::new("replicated", "replicated call, 512 callers, 16 keys", "Playhouse", Times(5.0, "etcd")),
    Target::new(
        "replicated-clients",
        "replicated call, 512 callers, 1000 keys",
        "Playhouse, client over WebSocket",
        Times(5.0, "etcd"),
    ),
    Target::new(
        "failover",
        "kill -9 to the first answer, slowest of its probed shards",
        "Playhouse",
        AtMost(3.0 * SECOND, Nanoseconds),
    )
    .of(P99),
    Target::new("failover", "acknowledged effects lost, per counter", "Playhouse", AtMost(0.0, Count))
        .of(Max),
    Target::new(
        "planned-move",
        "planned move, pause",
        "Playhouse, from the caller's node",
        AtMost(100.0 * MS, Nanoseconds),
    )
    .of(P99),
    Target::new(
        "planned-move",
        "planned move, pause",
        "Playhouse, from another node",
        AtMost(100.0 * MS, Nanoseconds),
    )
    .of(P99),
    Target::new("planned-move", "failed calls, per counter", "Playhouse", AtMost(0.0, Count)).of(Max),
    Target::new("idle", "CPU of an idle node", "Playhouse, 128 shards", AtMost(8.0, Percent)),
    Target::new("gateway", "HTTP call, 64 connections", "Playhouse", Times(0.6, "axum")),
    Target::new(
        "gateway",
        "WebSocket call, 64 connections × 32 in flight",
        "Playhouse",
        AtLeast(150e3, PerSecond),
    ),
    Target::new("telemetry", "calls per second that traces of 10 % cost", "Playhouse", AtMost(5.0, Percent)),
    Target::new("telemetry", "calls per second that traces of all cost", "Playhouse", AtMost(5.0, Percent)),
    Target::new("open-loop", OPEN_LOOP[0], "Playhouse", AtMost(10.0 * MS, Nanoseconds)),
    Target::new("open-loop", OPEN_LOOP[1], "Playhouse", AtMost(25.0 * MS, Nanoseconds)),
    Target::new("open-loop", OPEN_LOOP[2], "Playhouse", AtMost(0.0, Count)).of(Max),
    Target::new(
        "websockets",
        "WebSocket connections held, resident in the node for each",
        "Playhouse",
        AtMost(18_700.0, Bytes),
    ),
    Target::new("websockets", "WebSocket connections held, connections", "Playhouse", AtLeast(50e3, Count)),
];

const OPEN_LOOP: [&str; 3] = [
    "replicated calls, 22000 per second offered for 60 s, 1000 keys, p95",
    "replicated calls, 22000 per second offered for 60 s, 1000 keys, p99",
    "replicated calls, 22000 per second offered for 60 s, 1000 keys, failed",
];
