//! Whole nodes inside one process, beside what tokio and the disk can do at most. See `docs/benchmarks.md`.
//!
//! `cargo run --release -p playhouse-bench --bin playhouse_bench [group …]`, where a group is `cast`, `call`,
//! `durable`, `wake`, `resident` or `restart`; all of them without an argument. Each writes
//! `bench/results/<group>-<commit>.json`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // Figures go to one, the progress to the other.

use std::path::Path;

use playhouse_bench::{
    Machine, RUNS_MIN, Report,
    figures::show,
    rows::{self, Group},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [rows::RESIDENT_CHILD, what] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        println!("{}", rows::measure_resident_here(what));
        return Ok(());
    }
    for group in chosen(&arguments)? {
        eprintln!("{}", group.name);
        let figures = group.measure(&std::env::temp_dir(), RUNS_MIN);
        let report = figures.into_report(Report::new(group.name, Machine::here()))?;
        for row in report.rows() {
            let [min, median, max] =
                [row.summary.min, row.summary.median, row.summary.max].map(|value| show(row.unit, value));
            println!("{:<40} {min:>12} {median:>12} {max:>12}", row.name);
        }
        eprintln!("written to {}", report.write(Path::new("bench/results"))?.display());
    }
    Ok(())
}

fn chosen(arguments: &[String]) -> Result<Vec<Group>, String> {
    if arguments.is_empty() {
        return Ok(Group::ALL.to_vec());
    }
    let find = |name: &String| {
        let found = Group::ALL.into_iter().find(|group| group.name == name);
        found.ok_or_else(|| format!("{name}: no such group of rows"))
    };
    arguments.iter().map(find).collect()
}
