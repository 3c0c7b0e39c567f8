//! Many groups in one go, each in a process of its own, so that one that fails or hangs costs no other its figures.
//!
//! Comes in: which groups. Leaves: a report of each, and which failed.

use std::{fmt, path::Path, process::Command, time::Duration};

use tokio::time::Instant;

use crate::{
    Effort, Machine, Report, ReportError, Summary, Watch,
    child::{Child, own_program},
    figures::show,
    results::{FOLDER, Results},
    rows::{Group, counted},
};

/// The first argument of a child that measures one group.
pub const CHILD: &str = "--group";
/// Tries the rows with small counts, and writes no report.
pub const QUICK: &str = "--quick";

/// A group that takes so many times as long as it did, and then some, hangs.
const OVERDUE_TIMES: u32 = 4;
const OVERDUE: Duration = Duration::from_mins(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long groups will take, from the times that reports hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    groups: usize,
    all: Duration,
    /// How many were never timed.
    assumed: usize,
}

/// What became of the groups of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Which failed, and how.
    pub failed: Vec<String>,
}

impl Estimate {
    /// For these groups.
    #[must_use]
    pub fn of(groups: &[Group], results: &Results) -> Self {
        let mut estimate = Self { groups: groups.len(), ..Self::default() };
        for group in groups {
            let known = took(group.name, results);
            estimate.all += known.unwrap_or(group.about);
            estimate.assumed += usize::from(known.is_none());
        }
        estimate
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.all.as_secs().div_ceil(60);
        let (groups, minutes) = (counted(self.groups, "group"), counted(minutes as usize, "minute"));
        write!(to, "{groups}, about {minutes}")?;
        if self.assumed > 0 {
            write!(to, " ({} never timed and taken to last as long as elsewhere)", self.assumed)?;
        }
        Ok(())
    }
}

/// Measures each group in a process of its own, one after the other.
#[must_use]
#[allow(clippy::print_stderr)] // Progress; results go to files.
pub fn run(groups: &[Group], effort: Effort, results: &Results) -> Outcome {
    let mut outcome = Outcome::default();
    for group in groups {
        let expected = took(group.name, results).unwrap_or_default().max(group.about);
        let patience = expected * OVERDUE_TIMES + OVERDUE;
        let mut command = Command::new(own_program());
        command.args([CHILD, group.name]).args(effort.is_quick.then_some(QUICK));
        if let Err(how) = ended(&mut command, patience) {
            eprintln!("{}: {how}; going on with the next one", group.name);
            outcome.failed.push(format!("{} ({how})", group.name));
        }
    }
    outcome
}

/// Measures one group in this process, shows what it measured, and writes its report unless it was only tried.
///
/// # Errors
///
/// When a row has too few runs, or the report cannot be written.
#[allow(clippy::print_stdout, clippy::print_stderr)] // Figures go to one, the progress to the other.
pub fn measure_here(group: Group, effort: Effort) -> Result<(), ReportError> {
    eprintln!("{}", group.name);
    let (machine, watch) = (Machine::here(), Watch::begin());
    let figures = group.measure(&std::env::temp_dir(), effort);
    let report = figures.into_report(Report::new(group.name, machine).under(watch.end()))?;
    for row in report.rows() {
        let Summary { min, median, p99, max } = row.summary;
        let [min, median, p99, max] = [min, median, p99, max].map(|value| show(row.unit, value));
        let place = row.at.as_ref().map(|at| format!(", {} {}", at.axis, at.value)).unwrap_or_default();
        println!("{:<64} {min:>12} {median:>12} {p99:>12} {max:>12}", format!("{}{place}", row.name));
    }
    if effort == Effort::FULL {
        eprintln!("written to {}", report.write(Path::new(FOLDER))?.display());
    }
    Ok(())
}

fn took(group: &str, results: &Results) -> Option<Duration> {
    let found = *results.newest().get(group)?;
    found.report.circumstances().took_seconds.map(Duration::from_secs_f64)
}

/// Waits for a child, at most so long. Nothing is left of it then, so that nothing runs beside the next.
fn ended(command: &mut Command, patience: Duration) -> Result<(), String> {
    let mut child = Child::start_group(command);
    let outcome = awaited(&mut child, patience);
    child.kill_group();
    outcome
}

fn awaited(child: &mut Child, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        match child.process().try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            Ok(None) => return Err(format!("did not end in {} minutes", patience.as_secs().div_ceil(60))),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Circumstances, fixture::machine, results::Found};

    fn timed(group: &str, seconds: f64) -> Results {
        let circumstances = Circumstances { took_seconds: Some(seconds), ..Circumstances::default() };
        let report = Report::new(group, machine()).under(circumstances);
        Results::from(vec![Found { file: String::new(), report }])
    }

    #[test]
    fn a_run_lasts_as_long_as_the_one_before() {
        let [timed_one, other] = [Group::ALL[0], Group::ALL[1]];
        let results = timed(timed_one.name, 90.0);
        let estimate = Estimate::of(&[timed_one], &results);
        assert_eq!(estimate.to_string(), "1 group, about 2 minutes");
        let estimate = Estimate::of(&[timed_one, other], &results);
        assert_eq!(estimate.all, Duration::from_secs(90) + other.about);
        let words = estimate.to_string();
        assert!(words.ends_with(" (1 never timed and taken to last as long as elsewhere)"), "{words}");
    }

    #[test]
    fn a_child_that_fails_says_how() {
        let patience = Duration::from_mins(1);
        assert_eq!(ended(&mut Command::new("true"), patience), Ok(()));
        let how = ended(Command::new("sh").args(["-c", "exit 3"]), patience).unwrap_err();
        assert!(how.contains('3'), "{how}");
    }

    #[test]
    fn what_a_child_started_ends_with_the_child() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        let minute = Duration::from_mins(1);
        for (end, patience) in [("exit 0", minute), ("exit 3", minute), ("wait", Duration::from_millis(500))]
        {
            let script = format!("sleep 600 & echo $! > {}; {end}", id.display());
            let outcome = ended(Command::new("sh").args(["-c", &script]), patience);
            assert_eq!(outcome.is_ok(), end == "exit 0", "{outcome:?}");
            let grandchild = std::fs::read_to_string(&id).unwrap();
            until("it is gone", || !is_running(grandchild.trim()));
        }
        let how = ended(Command::new("sleep").arg("600"), Duration::ZERO).unwrap_err();
        assert_eq!(how, "did not end in 0 minutes");
    }

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(Instant::now() < deadline, "waited too long until {what}");
            std::thread::yield_now();
        }
    }

    /// One that ended waits for the process that adopted it.
    fn is_running(id: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"));
        status.is_ok_and(|status| !status.contains("(zombie)") && !status.contains("(dead)"))
    }
}
