//! The page about all measurements: hand-written words with places for what is generated.
//!
//! Comes in: the newest report of each group. Leaves: the page with its tables, and its plots beside it. Each place is between two
//! marks on lines of their own, `<!-- summary -->`, `<!-- table GROUP -->` or `<!-- others -->` (groups without a place of their own),
//! and `<!-- end -->`; what is outside of marks stays as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    machine::UNKNOWN,
    plot::{Plot, plots},
    results::{Found, Results, ResultsError},
    rows::TARGETS,
    summary::summary,
    table::{list, table},
};

/// Where the page is, from the root of the repository.
pub const PAGE: &str = "docs/benchmarks.md";
const PLOTS: &str = "benchmarks";
const END: &str = "<!-- end -->";

/// Why a page was not written. It is as it was; some of its plots may be new.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A file could not be read or written.
    #[error("could not read or write {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Put `<!-- end -->` behind the place.
    #[error("the place of `{mark}` has no end")]
    NoEnd {
        /// How the place begins.
        mark: String,
    },
    /// The reports could not be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

/// A page and what it shows.
#[derive(Debug)]
pub struct Page {
    /// In Markdown.
    pub text: String,
    /// Files beside it, in a folder of their own.
    pub plots: Vec<Plot>,
}

/// Writes the page and its plots from the newest report of each group.
///
/// # Errors
///
/// [`PageError`].
pub fn fill(folder: &Path, path: &Path) -> Result<(), PageError> {
    let results = Results::read(folder)?;
    let before = fs::read_to_string(path).map_err(at(path))?;
    let page = Page::of(&before, &results)?;
    let beside = path.with_file_name(PLOTS);
    fs::create_dir_all(&beside).map_err(at(&beside))?;
    remove_old(&beside, &page.plots).map_err(at(&beside))?;
    for plot in &page.plots {
        let file = beside.join(&plot.file);
        fs::write(&file, &plot.svg).map_err(at(&file))?;
    }
    fs::write(path, page.text).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PageError + use<> {
    let path = path.to_owned();
    |source| PageError::File { path, source }
}

/// Nobody sees a plot that the page does not show.
fn remove_old(folder: &Path, plots: &[Plot]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_plot = path.extension().is_some_and(|extension| extension == "svg");
        if is_plot && !plots.iter().any(|plot| path.ends_with(&plot.file)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Page {
    /// The page with all its places filled anew.
    ///
    /// # Errors
    ///
    /// When a place has no end.
    pub fn of(before: &str, results: &Results) -> Result<Self, PageError> {
        let newest = results.newest();
        let marks: BTreeSet<_> = before.lines().filter_map(mark).collect();
        let mut page = Self { text: String::new(), plots: Vec::new() };
        let mut lines = before.lines();
        while let Some(line) = lines.next() {
            page.line(line);
            let Some(mark) = mark(line) else { continue };
            if !lines.by_ref().any(|line| line == END) {
                return Err(PageError::NoEnd { mark: line.to_owned() });
            }
            page.fill(mark, &marks, &newest);
            page.line(END);
        }
        Ok(page)
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn fill(&mut self, mark: Mark<'_>, marks: &BTreeSet<Mark<'_>>, newest: &BTreeMap<&str, &Found>) {
        match mark {
            Mark::Summary => self.text += &summary(TARGETS, newest),
            Mark::Table(group) => match newest.get(group) {
                Some(found) => self.group(found),
                None => self.line(&format!("Not measured yet: `just bench {group}`.")),
            },
            Mark::Others => {
                let is_other = |group: &str| !marks.contains(&Mark::Table(group));
                for (group, found) in newest.iter().filter(|(group, _)| is_other(group)) {
                    self.line(&format!("\n### {group}\n"));
                    self.group(found);
                }
            }
        }
    }

    fn group(&mut self, found: &Found) {
        self.text += &origin(found);
        self.text += &table(&found.report);
        found.report.remarks().iter().for_each(|remark| self.line(&format!("\n{remark}.")));
        for plot in plots(&found.report) {
            self.line(&format!("\n![{}]({PLOTS}/{})", plot.caption, plot.file));
            self.plots.push(plot);
        }
    }
}

/// From where figures are.
fn origin(found: &Found) -> String {
    let (machine, circumstances) = (found.report.machine(), found.report.circumstances());
    let (commit, file) = (&machine.commit, &found.file);
    let mut text = format!("Commit `{commit}` ([raw](../{}/{file})), ", crate::results::FOLDER);
    let (cores, cpu, kernel) = (machine.cores, &machine.cpu_model, &machine.kernel);
    write!(text, "{cores} cores of {cpu}, ").expect("a string takes all");
    if let Some(memory) = machine.memory_bytes {
        write!(text, "{:.0} GB, ", memory as f64 / 1e9).expect("a string takes all");
    }
    let known = machine.versions.iter().filter(|(_, version)| *version != UNKNOWN);
    let versions = list(known.map(|(what, version)| versioned(what, version)));
    write!(text, "Linux {kernel}; {versions}").expect("a string takes all");
    if let Some(sentence) = circumstances.sentence() {
        write!(text, "; {sentence}").expect("a string takes all");
    }
    text + ".\n\n"
}

/// Programs that say their own name do not say it twice.
fn versioned(what: &str, version: &str) -> String {
    let says_its_name = version.to_lowercase().starts_with(&what.to_lowercase());
    if says_its_name { version.to_owned() } else { format!("{what} {version}") }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark<'a> {
    Summary,
    Table(&'a str),
    Others,
}

fn mark(line: &str) -> Option<Mark<'_>> {
    match line.strip_prefix("<!-- ")?.strip_suffix(" -->")? {
        "summary" => Some(Mark::Summary),
        "others" => Some(Mark::Others),
        other => other.strip_prefix("table ").map(Mark::Table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Unit,
        fixture::{self, around},
        rows::Aim,
        table,
    };

    /// Set, the page and its plots are written instead of compared.
    const UPDATE: &str = "UPDATE_DOCS";

    fn found(group: &str) -> Found {
        let rows = [
            around(&table::name("cast", "Playhouse"), Unit::PerSecond, 30.0),
            around(&table::name("cast", "Erlang"), Unit::PerSecond, 20.0),
        ];
        Found { file: format!("{group}-0123456789ab.json"), report: fixture::report(group, rows) }
    }

    #[test]
    fn places_are_filled_and_nothing_else_is_touched() {
        const BEFORE: &str = "before\n<!-- table cast -->\nold\n<!-- end -->\nbetween\n<!-- table call -->\n<!-- end \
                              -->\n<!-- others -->\n<!-- end -->\nafter\n";
        let results = Results::from(vec![found("cast"), found("names")]);
        let page = Page::of(BEFORE, &results).unwrap();
        let again = Page::of(&page.text, &results).unwrap();
        assert_eq!(again.text, page.text, "what is generated is replaced");

        let text = page.text;
        assert!(
            text.starts_with("before\n<!-- table cast -->\nCommit `0123456789ab` ([raw](../bench/"),
            "{text}"
        );
        assert!(text.contains(
            "<!-- end -->\nbetween\n<!-- table call -->\nNot measured yet: `just bench call`.\n<!-- end"
        ));
        assert!(text.contains("<!-- others -->\n\n### names\n\nCommit"), "{text}");
        assert!(text.ends_with("<!-- end -->\nafter\n"), "{text}");
        assert!(!text.contains("old"));
        assert_eq!(text.matches("| cast | 15 /s, 30 /s, 60 /s | Erlang 20 /s | 1.50 |").count(), 2);
    }

    #[test]
    fn a_place_without_an_end_is_refused() {
        let error = Page::of("<!-- table cast -->\nold\n", &Results::default()).unwrap_err();
        assert_eq!(error.to_string(), "the place of `<!-- table cast -->` has no end");
    }

    #[test]
    fn plots_that_the_page_no_longer_shows_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (results, page) = (folder.path().join("results"), folder.path().join("page.md"));
        let rows = [16.0, 64.0].map(|at| around("cast; Playhouse", Unit::PerSecond, 1.0).at("shards", at));
        fixture::report("scale", rows).write(&results).unwrap();
        fs::write(&page, "<!-- table scale -->\n<!-- end -->\n").unwrap();
        fs::create_dir(folder.path().join(PLOTS)).unwrap();
        fs::write(folder.path().join(PLOTS).join("old.svg"), "").unwrap();

        fill(&results, &page).unwrap();

        let names: Vec<_> =
            fs::read_dir(folder.path().join(PLOTS)).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["scale-cast-by-shards.svg"]);
        assert!(fs::read_to_string(page).unwrap().contains("(benchmarks/scale-cast-by-shards.svg)"));
    }

    /// Figures of the page are those of the reports: `UPDATE_DOCS=1` or `just bench-page` writes them.
    #[test]
    fn the_page_shows_the_newest_reports() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (folder, path) = (root.join(crate::results::FOLDER), root.join(PAGE));
        if std::env::var_os(UPDATE).is_some() {
            fill(&folder, &path).unwrap();
        }
        let before = fs::read_to_string(&path).unwrap();
        let page = Page::of(&before, &Results::read(&folder).unwrap()).unwrap();
        assert!(before == page.text, "the page is not what the reports give; `just bench-page` writes it");
        for plot in page.plots {
            let drawn = fs::read_to_string(path.with_file_name(PLOTS).join(&plot.file)).unwrap_or_default();
            assert!(
                drawn == plot.svg,
                "{} is not what the reports give; `just bench-page` draws it",
                plot.file
            );
        }
    }

    /// A target whose name does not fit its row would stay unmeasured for ever.
    #[test]
    fn each_target_of_a_measured_group_finds_its_row() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let results = Results::read(&root.join(crate::results::FOLDER)).unwrap();
        let newest = results.newest();
        for target in TARGETS {
            let Some(found) = newest.get(target.group) else { continue };
            let all = table::figures(&found.report);
            let row = all.iter().find(|row| (row.work, row.who) == (target.work, target.who));
            let row =
                row.unwrap_or_else(|| panic!("{} has no row `{}; {}`", found.file, target.work, target.who));
            if let Aim::AtLeast(_, unit) | Aim::AtMost(_, unit) = target.aim {
                assert_eq!(row.row.unit, unit, "{}", target.work);
            }
        }
    }
}
