//! The rows of `docs/benchmarks.md`, each beside its peers. One call of a row is one run.

mod call;
mod cast;
mod deployment;
mod durable;
mod durable_append;
mod failover;
mod gateway;
mod idle;
mod open_loop;
mod planned_move;
mod probe;
mod processes;
mod redis;
mod remote;
mod remote_call;
mod remote_cast;
mod replicated;
mod resident;
mod restart;
mod scale;
mod targets;
mod telemetry;
mod wake;
mod websockets;

use std::path::Path;

use crate::{Effort, Figures};

pub use deployment::{CHILD as PLAYHOUSE_CHILD, playhouse_here};
pub use processes::{MEMORY_CHILD as IDLE_PROCESS_CHILD, start_idle_here};
pub use resident::{CHILD as RESIDENT_CHILD, measure_here as measure_resident_here};
pub use scale::entities::{CHILD as ENTITIES_CHILD, measure_here as measure_entities_here};
pub use targets::{Aim, Statistic, TARGETS, Target};

/// Rows that are measured together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// As the command line and the file of the report call it.
    pub name: &'static str,
    run: fn(&Path, Effort, &mut Figures),
}

impl Group {
    /// All groups.
    pub const ALL: &'static [Self] = &[
        Self { name: "cast", run: cast::run },
        Self { name: "call", run: call::run },
        Self { name: "durable", run: durable::run },
        Self { name: "durable-append", run: durable_append::run },
        Self { name: "wake", run: wake::run },
        Self { name: "resident", run: resident::run },
        Self { name: "restart", run: restart::run },
        Self { name: "remote-cast", run: remote_cast::run },
        Self { name: "remote-call", run: remote_call::run },
        Self { name: "replicated", run: replicated::run },
        Self { name: "replicated-clients", run: replicated::run_clients },
        Self { name: "open-loop", run: open_loop::run },
        Self { name: "websockets", run: websockets::run },
        Self { name: "failover", run: failover::run },
        Self { name: "planned-move", run: planned_move::run },
        Self { name: "idle", run: idle::run },
        Self { name: "processes", run: processes::run },
        Self { name: "deployment", run: deployment::run },
        Self { name: "gateway", run: gateway::run },
        Self { name: "telemetry", run: telemetry::run },
        Self { name: "scale-shards", run: scale::shards::run },
        Self { name: "scale-nodes", run: scale::nodes::run },
        Self { name: "scale-entities", run: scale::entities::run },
        Self { name: "scale-payload", run: scale::payload::run },
    ];

    /// Makes all runs; volumes are made in `folder`.
    #[must_use]
    pub fn measure(self, folder: &Path, effort: Effort) -> Figures {
        let mut figures = Figures::default();
        (self.run)(folder, effort, &mut figures);
        figures
    }
}

/// A key of 16 bytes.
pub(crate) fn key(number: usize) -> String {
    format!("entity-{number:09}")
}

/// `1 caller`, `64 callers`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn volume(folder: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(folder).expect("a temporary folder")
}
