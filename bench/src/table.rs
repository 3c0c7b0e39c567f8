//! Tables of a page, made from a report.
//!
//! Comes in: a report whose figures are called after a work and who did it. Leaves: one line for each work that we did, with what
//! others reached beside it; in a page, between two marks, so that nobody types figures.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Report, Row, Summary, Unit, figures::show, machine::UNKNOWN};

/// Who we are in the name of a figure; what follows a comma says how.
pub const OURS: &str = "Playhouse";
const BETWEEN: &str = "; ";
const HEAD: &str =
    "| work | min, median, max | beside it, same run (median) | × better |\n|---|---|---|---|\n";

/// Why a page has no new table. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file could not be read or written.
    #[error("could not read or write {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no report.
    #[error("{path} is no report")]
    Report {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// Put `<!-- table NAME -->` and `<!-- end -->` around the place for the table.
    #[error("{path} has no place for the table {name}")]
    NoPlace {
        /// Which page.
        path: PathBuf,
        /// Which table.
        name: String,
    },
}

/// What a figure is called.
#[must_use]
pub fn name(work: &str, who: &str) -> String {
    format!("{work}{BETWEEN}{who}")
}

/// The table of a report.
#[must_use]
pub fn table(report: &Report) -> String {
    let figures: Vec<_> = report.rows().iter().filter_map(Figure::of).collect();
    let mut text = HEAD.to_owned();
    for own in figures.iter().filter(|figure| figure.is_ours()) {
        let peers: Vec<_> =
            figures.iter().filter(|other| other.work == own.work && !other.is_ours()).collect();
        let beside = peers.iter().map(|peer| format!("{} {}", peer.who, peer.median()));
        let ratios = peers.iter().map(|peer| format!("{:.2}", own.times_better(peer)));
        let how = own.who.strip_prefix(OURS).unwrap_or_default();
        let Summary { min, median, max, .. } = own.row.summary;
        let [min, median, max] = [min, median, max].map(|value| show(own.row.unit, value));
        let (beside, ratios) = (list(beside), list(ratios));
        writeln!(text, "| {}{how} | {min}, {median}, {max} | {beside} | {ratios} |", own.work)
            .expect("a string takes all");
    }
    text
}

/// Puts the table of a report at its place in a page: the marks around it name the report.
///
/// # Errors
///
/// [`TableError`].
pub fn fill(report: &Path, page: &Path) -> Result<(), TableError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        |source| TableError::File { path, source }
    };
    let text = fs::read(report).map_err(file(report))?;
    let read: Report = serde_json::from_slice(&text)
        .map_err(|source| TableError::Report { path: report.to_owned(), source })?;
    let before = fs::read_to_string(page).map_err(file(page))?;
    let no_place = || TableError::NoPlace { path: page.to_owned(), name: read.name().to_owned() };
    let after = placed(&before, &read, report).ok_or_else(no_place)?;
    fs::write(page, after).map_err(file(page))
}

/// The page with the table, if it has a place for it.
fn placed(page: &str, report: &Report, path: &Path) -> Option<String> {
    const END: &str = "<!-- end -->";
    let mark = format!("<!-- table {} -->\n", report.name());
    let (head, rest) = page.split_once(&mark)?;
    let (_, tail) = rest.split_once(END)?;
    let (machine, file) = (report.machine(), path.file_name().unwrap_or_default().to_string_lossy());
    let known = machine.versions.iter().filter(|(_, version)| *version != UNKNOWN);
    let versions = list(known.map(|(what, version)| format!("{what} {version}")));
    let mut text = format!("{head}{mark}Commit `{}` (`{file}`), ", machine.commit);
    let (cores, cpu, kernel) = (machine.cores, &machine.cpu_model, &machine.kernel);
    writeln!(text, "{cores} cores of {cpu}, Linux {kernel}; {versions}.\n").expect("a string takes all");
    text += &table(report);
    report.remarks().iter().for_each(|remark| text += &format!("\n{remark}.\n"));
    Some(text + END + tail)
}

fn list(parts: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = parts.collect();
    if all.is_empty() { "–".to_owned() } else { all.join(BETWEEN) }
}

/// A row whose name says who did which work.
struct Figure<'a> {
    work: &'a str,
    who: &'a str,
    row: &'a Row,
}

impl<'a> Figure<'a> {
    fn of(row: &'a Row) -> Option<Self> {
        let (work, who) = row.name.split_once(BETWEEN)?;
        Some(Self { work, who, row })
    }

    fn is_ours(&self) -> bool {
        self.who.split(',').next() == Some(OURS)
    }

    fn median(&self) -> String {
        show(self.row.unit, self.row.summary.median)
    }

    /// Above 1: better than the other one.
    fn times_better(&self, other: &Self) -> f64 {
        let (own, other) = (self.row.summary.median, other.row.summary.median);
        if self.row.unit == Unit::PerSecond { own / other } else { other / own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;

    fn report() -> Report {
        let mut report = Report::new("processes", Machine::here());
        let mut add = |work: &str, who: &str, unit, value: f64| {
            let runs = [0.5, 1.0, 1.0, 1.0, 2.0].map(|times| times * value);
            report.add(Row::new(name(work, who), unit, runs.into()).unwrap()).unwrap();
        };
        add("cast", "Playhouse", Unit::PerSecond, 30_000.0);
        add("cast", "Playhouse, plain link", Unit::PerSecond, 60_000.0);
        add("cast", "Erlang", Unit::PerSecond, 20_000.0);
        add("idle", "Playhouse", Unit::Bytes, 100.0);
        add("idle", "Erlang", Unit::Bytes, 200.0);
        add("alone", "Playhouse", Unit::Bytes, 100.0);
        report
    }

    #[test]
    fn each_of_our_figures_is_a_line_beside_those_of_others() {
        let table = table(&report());
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| cast | 15.0 k/s, 30.0 k/s, 60.0 k/s | Erlang 20.0 k/s | 1.50 |",
                "| cast, plain link | 30.0 k/s, 60.0 k/s, 120.0 k/s | Erlang 20.0 k/s | 3.00 |",
                "| idle | 50 B, 100 B, 200 B | Erlang 200 B | 2.00 |",
                "| alone | 50 B, 100 B, 200 B | – | – |",
            ]
        );
    }

    #[test]
    fn a_table_replaces_the_one_before_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        let path = report().write(folder.path()).unwrap();
        fs::write(&page, "before\n<!-- table processes -->\nold\n<!-- end -->\nafter\n").unwrap();

        fill(&path, &page).unwrap();
        fill(&path, &page).unwrap();

        let text = fs::read_to_string(&page).unwrap();
        assert!(text.starts_with("before\n<!-- table processes -->\nCommit `"), "{text}");
        assert!(text.ends_with("| alone | 50 B, 100 B, 200 B | – | – |\n<!-- end -->\nafter\n"), "{text}");
        assert_eq!(text.matches(HEAD).count(), 1);
        assert!(!text.contains("old"));
    }

    #[test]
    fn a_page_without_a_place_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        let path = report().write(folder.path()).unwrap();
        fs::write(&page, "<!-- table others -->\n<!-- end -->\n").unwrap();

        assert!(matches!(fill(&path, &page), Err(TableError::NoPlace { .. })));
        assert_eq!(fs::read_to_string(&page).unwrap(), "<!-- table others -->\n<!-- end -->\n");
    }
}
