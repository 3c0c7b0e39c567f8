//! What Playhouse costs, measured.
//!
//! Comes in: times and counts. Leaves: a [`Report`] that says on what machine, with which commit and in how many
//! runs they were found. Criterion's measurements of single rooms are in `benches/`.

pub mod figures;
mod machine;
pub mod node;
pub mod raw_file;
mod report;
pub mod rows;
pub mod sink;
pub mod solo;
pub mod store;

pub use figures::Figures;
pub use machine::Machine;
pub use report::{RUNS_MIN, Report, ReportError, Row, Summary, Unit};

/// How long this process, all its threads together, has run on any processor. In seconds, to 10 ms; 0 where there
/// is no `/proc`.
#[must_use]
pub fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which is the only field that may hold spaces: fields 14 and 15 of proc(5).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
