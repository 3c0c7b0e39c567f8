//! The rows of `docs/benchmarks.md`, each beside its peers. One call of a row is one run.

mod appends;
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

use std::{path::Path, time::Duration};

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
    /// About how long it takes on two cores, for who never measured it.
    pub about: Duration,
    /// Whether its runs are samples of one session, with one start of the nodes, which differ less than sessions do.
    pub is_one_session: bool,
    run: fn(&Path, Effort, &mut Figures),
}

impl Group {
    /// All groups.
    pub const ALL: &'static [Self] = &[
        Self::new("cast", 2, cast::run),
        Self::new("call", 2, call::run),
        Self::new("durable", 2, durable::run),
        Self::new("durable-append", 2, durable_append::run),
        Self::new("wake", 2, wake::run).of_one_session(),
        Self::new("resident", 2, resident::run),
        Self::new("restart", 2, restart::run),
        Self::new("remote-cast", 3, remote_cast::run).of_one_session(),
        Self::new("remote-call", 3, remote_call::run).of_one_session(),
        Self::new("replicated", 4, replicated::run),
        Self::new("replicated-clients", 4, replicated::run_clients),
        Self::new("open-loop", 50, open_loop::run),
        Self::new("websockets", 12, websockets::run).of_one_session(),
        Self::new("failover", 5, failover::run).of_one_session(),
        Self::new("planned-move", 5, planned_move::run).of_one_session(),
        Self::new("idle", 8, idle::run).of_one_session(),
        Self::new("processes", 4, processes::run),
        Self::new("deployment", 15, deployment::run),
        Self::new("gateway", 5, gateway::run),
        Self::new("telemetry", 5, telemetry::run).of_one_session(),
        Self::new("scale-shards", 15, scale::shards::run),
        Self::new("scale-nodes", 8, scale::nodes::run),
        Self::new("scale-entities", 10, scale::entities::run).of_one_session(),
        Self::new("scale-payload", 8, scale::payload::run),
    ];

    const fn new(name: &'static str, minutes: u64, run: fn(&Path, Effort, &mut Figures)) -> Self {
        Self { name, about: Duration::from_mins(minutes), is_one_session: false, run }
    }

    const fn of_one_session(self) -> Self {
        Self { is_one_session: true, ..self }
    }

    /// The one that is called so.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|group| group.name == name)
    }

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
