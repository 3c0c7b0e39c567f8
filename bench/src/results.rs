//! The folder of reports: the newest of each group is what pages show.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Report, ReportError};

/// Where reports are, from the root of the repository.
pub const FOLDER: &str = "bench/results";

/// Why the folder could not be read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// Run it at the root of the repository.
    #[error("could not read the folder {path} (is this the root of the repository?)")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Every `.json` in it, except in its own folders, is a report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// A report and the name of its file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Without its folder.
    pub file: String,
    /// What it says.
    pub report: Report,
}

/// All reports.
#[derive(Clone, Debug, Default)]
pub struct Results {
    all: Vec<Found>,
}

impl Results {
    /// All reports of a folder.
    ///
    /// # Errors
    ///
    /// When the folder or a report cannot be read.
    pub fn read(folder: &Path) -> Result<Self, ResultsError> {
        let at = |source| ResultsError::Folder { path: folder.to_owned(), source };
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(at)?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read = |path: PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Found { file, report: Report::read(&path)? })
        };
        Ok(Self { all: paths.into_iter().map(read).collect::<Result<_, ReportError>>()? })
    }

    /// The newest report of each group.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<&str, &Found> {
        let mut newest: BTreeMap<&str, &Found> = BTreeMap::new();
        for found in &self.all {
            let known = newest.entry(found.report.name()).or_insert(found);
            if age(found) > age(known) {
                *known = found;
            }
        }
        newest
    }

    /// Those whose commit begins so, the newest of each group.
    #[must_use]
    pub fn of_commit(&self, commit: &str) -> Self {
        let all = self.all.iter().filter(|found| found.report.machine().commit.starts_with(commit));
        Self { all: all.cloned().collect() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl From<Vec<Found>> for Results {
    fn from(all: Vec<Found>) -> Self {
        Self { all }
    }
}

/// Of two that began at once, the file decides, so that it is always the same one.
fn age(found: &Found) -> (u64, &str) {
    (found.report.circumstances().began_ms, &found.file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Circumstances, Machine, fixture};

    fn report(group: &str, commit: &str, began_ms: u64) -> Report {
        let machine = Machine { commit: commit.to_owned(), ..fixture::machine() };
        Report::new(group, machine).under(Circumstances { began_ms, ..Circumstances::default() })
    }

    #[test]
    fn the_newest_report_of_each_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        for report in [report("cast", "aaa", 2), report("cast", "bbb", 1), report("call", "aaa", 1)] {
            report.write(folder.path()).unwrap();
        }
        // Other measurements and other files are left alone.
        fs::create_dir(folder.path().join("samples")).unwrap();
        fs::write(folder.path().join("samples/other.json"), "[]").unwrap();
        fs::write(folder.path().join("README.md"), "text").unwrap();

        let results = Results::read(folder.path()).unwrap();
        let files: Vec<_> = results.newest().values().map(|found| found.file.as_str()).collect();
        assert_eq!(files, ["call-aaa.json", "cast-aaa.json"]);
        let of_one = results.of_commit("b");
        assert_eq!(of_one.newest().keys().copied().collect::<Vec<_>>(), ["cast"]);
        assert!(results.of_commit("ccc").is_empty());
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("broken.json"), "[]").unwrap();
        let error = Results::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("broken.json"), "{error}");
        assert!(matches!(Results::read(&folder.path().join("no")), Err(ResultsError::Folder { .. })));
    }
}
