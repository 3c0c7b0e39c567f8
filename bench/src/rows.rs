//! The rows of `docs/benchmarks.md`, each beside its peers. One call of a row is one run.

mod call;
mod cast;
mod deployment;
mod durable;
mod failover;
mod idle;
mod planned_move;
mod probe;
mod processes;
mod remote;
mod remote_call;
mod remote_cast;
mod replicated;
mod resident;
mod restart;
mod wake;

use std::path::Path;

use crate::{Effort, Figures};

pub use deployment::{CHILD as PLAYHOUSE_CHILD, playhouse_here};
pub use processes::{MEMORY_CHILD as IDLE_PROCESS_CHILD, start_idle_here};
pub use resident::{CHILD as RESIDENT_CHILD, measure_here as measure_resident_here};

/// Rows that are measured together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// As the command line and the file of the report call it.
    pub name: &'static str,
    run: fn(&Path, Effort, &mut Figures),
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 15] = [
        Self { name: "cast", run: cast::run },
        Self { name: "call", run: call::run },
        Self { name: "durable", run: durable::run },
        Self { name: "wake", run: wake::run },
        Self { name: "resident", run: resident::run },
        Self { name: "restart", run: restart::run },
        Self { name: "remote-cast", run: remote_cast::run },
        Self { name: "remote-call", run: remote_call::run },
        Self { name: "replicated", run: replicated::run },
        Self { name: "replicated-clients", run: replicated::run_clients },
        Self { name: "failover", run: failover::run },
        Self { name: "planned-move", run: planned_move::run },
        Self { name: "idle", run: idle::run },
        Self { name: "processes", run: processes::run },
        Self { name: "deployment", run: deployment::run },
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

fn volume(folder: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(folder).expect("a temporary folder")
}
