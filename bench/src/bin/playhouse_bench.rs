//! Whole nodes, beside what tokio, the disk and other systems can do in the same run. See `docs/benchmarks.md`.
//!
//! `cargo run --release -p playhouse-bench --bin playhouse_bench [--quick] [group …]`. Groups of one node are `cast`,
//! `call`, `durable`, `wake`, `resident` and `restart`; of several nodes `remote-cast`, `remote-call`, `replicated`, `replicated-clients`,
//! `failover`, `planned-move`, `idle` and `deployment`; `processes` is of both; all of them without a name. Each writes
//! `bench/results/<group>-<commit>.json`, unless it is only tried by `--quick`.
//!
//! `playhouse_bench --table <report> <page>` puts the figures of a report into a page: see [`playhouse_bench::table`].

#![allow(clippy::print_stdout, clippy::print_stderr)] // Figures go to one, the progress to the other.

use std::{path::Path, process::ExitCode};

use playhouse_bench::{
    Effort, Machine, Report, Summary, cluster,
    figures::show,
    processes::{linked, stock_linked},
    raw_frames,
    rows::{self, Group},
    table,
};

/// As the node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tries the rows with small counts, and writes no report.
const QUICK: &str = "--quick";

/// Puts the figures of a report into a page.
const TABLE: &str = "--table";

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(rows::RESIDENT_CHILD) => {
            println!("{}", rows::measure_resident_here(arguments.get(1).map_or("", String::as_str)));
            return Ok(ExitCode::SUCCESS);
        }
        Some(rows::IDLE_PROCESS_CHILD) => return Ok(rows::start_idle_here(&arguments[1..])),
        Some(rows::PLAYHOUSE_CHILD) => return Ok(rows::playhouse_here()),
        Some(linked::CHILD) => return Ok(linked::run_here(&arguments[1..])),
        Some(stock_linked::CHILD) => return Ok(stock_linked::run_here(&arguments[1..])),
        Some(TABLE) => return fill(&arguments[1..]),
        Some(cluster::CHILD) => return Ok(cluster::run_here(&arguments[1..])),
        Some(raw_frames::CHILD) => {
            raw_frames::receive_here();
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let (flags, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == QUICK);
    let effort = if flags.is_empty() { Effort::FULL } else { Effort::QUICK };
    for group in chosen(&names)? {
        measure(group, effort)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(group: Group, effort: Effort) -> Result<(), Box<dyn std::error::Error>> {
    eprintln!("{}", group.name);
    let figures = group.measure(&std::env::temp_dir(), effort);
    let report = figures.into_report(Report::new(group.name, Machine::here()))?;
    for row in report.rows() {
        let Summary { min, median, p99, max } = row.summary;
        let [min, median, p99, max] = [min, median, p99, max].map(|value| show(row.unit, value));
        println!("{:<56} {min:>12} {median:>12} {p99:>12} {max:>12}", row.name);
    }
    if effort == Effort::FULL {
        eprintln!("written to {}", report.write(Path::new("bench/results"))?.display());
    }
    Ok(())
}

fn fill(paths: &[String]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let [report, page] = paths else { return Err("--table takes a report and a page".into()) };
    table::fill(Path::new(report), Path::new(page))?;
    Ok(ExitCode::SUCCESS)
}

fn chosen(arguments: &[&String]) -> Result<Vec<Group>, String> {
    if arguments.is_empty() {
        return Ok(Group::ALL.to_vec());
    }
    let find = |name: &&String| {
        let found = Group::ALL.into_iter().find(|group| group.name == **name);
        found.ok_or_else(|| format!("{name}: no such group of rows"))
    };
    arguments.iter().map(find).collect()
}
