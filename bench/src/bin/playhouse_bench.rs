//! Whole nodes, beside what tokio, the disk and other systems can do in the same run: what writes `docs/benchmarks.md`.
//!
//! At the root of the repository, `cargo run --release -p playhouse-bench --bin playhouse_bench --` and
//!
//! * nothing, or names of groups: measures them, each in a process of its own, writes `bench/results/<group>-<commit>.json`, and then the page from
//!   the newest report of every group. As root on Debian it first installs the peers that are missing. A group that fails costs no other its
//!   figures; the exit code tells. `--quick` tries the rows with small counts, and writes nothing.
//! * `--groups`: which groups there are.
//! * `--page`: writes the page and its plots from the reports that are there.
//! * `--compare OLD NEW [--fail-on-slower]`: what changed between two reports, or between all reports of two commits. With the flag, a row of
//!   ours that is worse or no longer measured, and a group that is no longer measured, make the exit code 1. See [`playhouse_bench::compare`].

#![allow(clippy::print_stdout, clippy::print_stderr)] // Figures go to one, the progress to the other.

use std::{error::Error, fmt::Write as _, io::Write as _, path::Path, process::ExitCode};

use playhouse_bench::{
    Effort, Machine, Report, axum_echo,
    child::leave_with_parent_as_group,
    cluster,
    compare::{Comparison, compare},
    node, page, peers,
    processes::{linked, stock_linked},
    raw_frames,
    results::{FOLDER, Found, Results},
    rows::{self, Group},
    suite::{self, Estimate, QUICK},
};

/// As the node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMPARE: &str = "--compare";
const FAIL_ON_SLOWER: &str = "--fail-on-slower";
const GROUPS: &str = "--groups";
const PAGE: &str = "--page";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    dispatch(&arguments).unwrap_or_else(|error| {
        eprintln!("{error}");
        let mut cause = error.source();
        while let Some(found) = cause {
            eprintln!("because: {found}");
            cause = found.source();
        }
        ExitCode::FAILURE
    })
}

fn dispatch(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.first().map(String::as_str) {
        Some(rows::RESIDENT_CHILD) => {
            println!("{}", rows::measure_resident_here(arguments.get(1).map_or("", String::as_str)));
            return Ok(ExitCode::SUCCESS);
        }
        Some(rows::IDLE_PROCESS_CHILD) => return Ok(rows::start_idle_here(&arguments[1..])),
        Some(rows::PLAYHOUSE_CHILD) => return Ok(rows::playhouse_here()),
        Some(linked::CHILD) => return Ok(linked::run_here(&arguments[1..])),
        Some(stock_linked::CHILD) => return Ok(stock_linked::run_here(&arguments[1..])),
        Some(rows::ENTITIES_CHILD) => {
            rows::measure_entities_here(&arguments[1..]);
            return Ok(ExitCode::SUCCESS);
        }
        Some(cluster::CHILD) => return Ok(cluster::run_here(&arguments[1..])),
        Some(raw_frames::CHILD) => {
            raw_frames::receive_here();
            return Ok(ExitCode::SUCCESS);
        }
        Some(suite::CHILD) => return measure_here(&arguments[1..]),
        Some(COMPARE) => return print_comparison(&arguments[1..]),
        Some(GROUPS) => {
            Group::ALL.iter().for_each(|group| println!("{}", group.name));
            return Ok(ExitCode::SUCCESS);
        }
        Some(PAGE) => {
            page::fill(Path::new(FOLDER), Path::new(page::PAGE))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(axum_echo::CHILD) => {
            axum_echo::serve_here();
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let (names, effort) = told(arguments);
    run(&chosen(&names)?, effort)
}

/// All groups that were asked for, and then the page.
fn run(groups: &[Group], effort: Effort) -> Result<ExitCode, Box<dyn Error>> {
    if !effort.is_quick && cfg!(debug_assertions) {
        return Err("figures of a debug build mean nothing: use --release, or --quick to try the rows".into());
    }
    let results = Results::read(Path::new(FOLDER))?;
    for peer in if effort.is_quick { peers::missing() } else { peers::install() } {
        eprintln!("{}; rows of {} have no such peer", peer.absence(), peer.groups.join(", "));
    }
    if !effort.is_quick {
        eprintln!("{}, at commit {}", Estimate::of(groups, &results), Machine::here().commit);
    }
    let outcome = suite::run(groups, effort, &results);
    if !outcome.failed.is_empty() {
        eprintln!("failed: {}", outcome.failed.join(", "));
    }
    if effort == Effort::FULL {
        page::fill(Path::new(FOLDER), Path::new(page::PAGE))?;
        eprintln!("{} shows the newest reports of {FOLDER}; commit both", page::PAGE);
    }
    Ok(if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_here(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let (names, effort) = told(arguments);
    // It ends here: the thread that waits for the end of the parent needs none.
    let runtime = node::small_runtime();
    leave_with_parent_as_group(&node::environment(runtime.handle()));
    drop(runtime);
    for group in chosen(&names)? {
        suite::measure_here(group, effort)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_comparison(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let (flags, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| *word == FAIL_ON_SLOWER);
    let [old, new] = names[..] else { return Err("--compare takes two reports, or two commits".into()) };
    let (old, new) = (reports(old)?, reports(new)?);
    let (before, after) = (old.newest(), new.newest());
    let (mut is_worse, mut rows, mut text) = (false, 0, String::new());
    for (group, found) in &after {
        let Some(earlier) = before.get(group) else {
            writeln!(text, "## {group}\n\nOnly after.\n")?;
            continue;
        };
        let comparison: Comparison = compare(&earlier.report, &found.report)?;
        writeln!(text, "## {group}: {} → {}\n\n{comparison}", earlier.file, found.file)?;
        is_worse |= comparison.is_worse();
        rows += comparison.changes.len();
    }
    for group in before.keys().filter(|group| !after.contains_key(*group)) {
        writeln!(text, "## {group}\n\nOnly before.\n")?;
        is_worse = true;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    if rows == 0 {
        return Err("nothing was compared: the two have no row in common".into());
    }
    let fails = is_worse && !flags.is_empty();
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A file, or all reports of a commit.
fn reports(name: &str) -> Result<Results, Box<dyn Error>> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(Results::from(vec![Found { file: name.to_owned(), report: Report::read(path)? }]));
    }
    let found = Results::read(Path::new(FOLDER))?.of_commit(name);
    if found.is_empty() {
        Err(format!("{name}: neither a file nor a commit with a report in {FOLDER}").into())
    } else {
        Ok(found)
    }
}

fn told(arguments: &[String]) -> (Vec<&str>, Effort) {
    let (flags, names): (Vec<&str>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|argument| *argument == QUICK);
    (names, if flags.is_empty() { Effort::FULL } else { Effort::QUICK })
}

fn chosen(names: &[&str]) -> Result<Vec<Group>, String> {
    if names.is_empty() {
        return Ok(Group::ALL.to_vec());
    }
    let find =
        |name| Group::find(name).ok_or_else(|| format!("{name}: no such group of rows; --groups lists them"));
    names.iter().copied().map(find).collect()
}
