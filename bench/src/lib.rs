//! What Playhouse costs, measured.
//!
//! Comes in: times and counts. Leaves: a [`Report`] that says on what machine, with which commit and in how many
//! runs they were found. Criterion's measurements of single rooms are in `benches/`.

pub mod axum_echo;
pub mod child;
mod circumstances;
pub mod cluster;
pub mod compare;
mod effort;
pub mod etcd;
pub mod figures;
#[cfg(test)]
mod fixture;
mod machine;
pub mod node;
pub mod ops;
pub mod page;
pub mod parcel;
pub mod peers;
pub mod plot;
pub mod processes;
pub mod raw_file;
pub mod raw_frames;
pub mod redis_server;
mod report;
pub mod results;
pub mod rows;
pub mod sink;
pub mod solo;
pub mod store;
pub mod suite;
mod summary;
pub mod table;

pub use circumstances::{Circumstances, Watch};
pub use effort::Effort;
pub use figures::Figures;
pub use machine::Machine;
pub use report::{At, RUNS_MIN, Report, ReportError, Row, Summary, Unit};

/// How long this process, all its threads together, has run on any processor. In seconds, to 10 ms; 0 where there
/// is no `/proc`.
#[must_use]
pub fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// As [`cpu_seconds`], of another process.
fn cpu_seconds_of(process: &str) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which is the only field that may hold spaces: fields 14 and 15 of proc(5).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// What a process takes in memory, as the kernel counts it.
fn resident_bytes_of(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))
        .expect("this is Linux and the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel says it");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok());
    kilobytes.expect("a number of kB") * 1024.0
}
