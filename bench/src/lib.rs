//! What Playhouse costs, measured.
//!
//! Comes in: times and counts. Leaves: a [`Report`] that says on what machine, with which commit and in how many
//! runs they were found. Criterion's measurements of single rooms are in `benches/`.

mod machine;
mod report;

pub use machine::Machine;
pub use report::{RUNS_MIN, Report, ReportError, Row, Summary, Unit};
