//! What was measured, as raw JSON that somebody else can compare with.

mod row;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use row::{At, Row, Summary, Unit};

use crate::{Circumstances, Machine};

/// Fewer runs say nothing about how much a figure varies.
pub const RUNS_MIN: usize = 5;

/// Why a row or a report was not accepted. What was there before is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Measure again with more runs.
    #[error("{name}: {runs} runs, at least {RUNS_MIN} are needed")]
    TooFewRuns {
        /// Which row.
        name: String,
        /// How many there were.
        runs: usize,
    },
    /// Not a number, infinite, or negative: the measurement is broken.
    #[error("{name}: run {run} measured {value}")]
    Implausible {
        /// Which row.
        name: String,
        /// Which run, counted from 0.
        run: usize,
        /// What it measured.
        value: f64,
    },
    /// There is a row of that name.
    #[error("{0}: measured twice in one report")]
    Twice(String),
    /// The file could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no report.
    #[error("{path} is no report")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The file could not be written.
    #[error("could not write {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Everything that was measured in one go.
///
/// ```
/// use playhouse_bench::{Machine, Report, Row, Unit};
///
/// let mut report = Report::new("local", Machine::here());
/// let runs = vec![10.0, 12.0, 11.0, 14.0, 9.0];
/// report.add(Row::new("local cast", Unit::PerSecond, runs).unwrap()).unwrap();
/// assert_eq!(report.rows()[0].summary.median, 11.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    name: String,
    machine: Machine,
    #[serde(default)]
    circumstances: Circumstances,
    rows: Vec<Row>,
    /// What is no figure, such as that a peer is not installed.
    #[serde(default)]
    remarks: Vec<String>,
}

impl Report {
    /// A report without rows. Its name becomes part of the file's.
    #[must_use]
    pub fn new(name: impl Into<String>, machine: Machine) -> Self {
        let circumstances = Circumstances::default();
        Self { name: name.into(), machine, circumstances, rows: Vec::new(), remarks: Vec::new() }
    }

    /// The same report with what was around it.
    #[must_use]
    pub fn under(self, circumstances: Circumstances) -> Self {
        Self { circumstances, ..self }
    }

    /// A report that was written before.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no report.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let at = || path.to_owned();
        let text = fs::read(path).map_err(|source| ReportError::Read { path: at(), source })?;
        serde_json::from_slice(&text).map_err(|source| ReportError::Format { path: at(), source })
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// When there is one of that name at the same place.
    pub fn add(&mut self, row: Row) -> Result<(), ReportError> {
        if self.rows.iter().any(|other| other.name == row.name && other.at == row.at) {
            return Err(ReportError::Twice(row.name));
        }
        self.rows.push(row);
        Ok(())
    }

    /// Adds what is no figure.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// On what it was measured.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What was around it.
    #[must_use]
    pub fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// What is no figure.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What was measured, in the order in which it was added.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes `<folder>/<name>-<commit>.json`, in place of an earlier report of the same commit, and says where.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. An earlier one stays whole.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        let path = folder.join(format!("{}-{}.json", self.name, self.machine.commit));
        let partial = path.with_extension("json.partial");
        let text = serde_json::to_string_pretty(self).expect("rows hold finite numbers and strings");
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&partial, text + "\n"))
            .and_then(|()| fs::rename(&partial, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(ReportError::Write { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, RUNS, machine};

    fn row(name: &str) -> Row {
        fixture::row(name, Unit::PerSecond, &RUNS)
    }

    #[test]
    fn a_row_keeps_its_runs_in_order_and_sums_them_up() {
        let row = row("cast");
        assert_eq!(row.runs, [5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(row.summary, Summary { min: 1.0, median: 3.0, p99: 5.0, max: 5.0 });
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two_runs() {
        let row = Row::new("cast", Unit::Bytes, vec![1.0, 2.0, 3.0, 4.0, 5.0, 100.0]).unwrap();
        assert_eq!(row.summary.median, 3.5);
    }

    #[test]
    fn of_two_hundred_runs_two_are_above_the_99th_percentile() {
        let row = Row::new("cast", Unit::Bytes, (1..=200).map(f64::from).collect()).unwrap();
        assert_eq!(row.summary.p99, 198.0);
    }

    #[test]
    fn four_runs_are_too_few() {
        let refused = Row::new("cast", Unit::Bytes, vec![1.0; RUNS_MIN - 1]).unwrap_err();
        assert_eq!(refused.to_string(), "cast: 4 runs, at least 5 are needed");
    }

    #[test]
    fn what_is_not_a_measurement_is_refused() {
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            let refused = Row::new("cast", Unit::Nanoseconds, vec![1.0, value, 1.0, 1.0, 1.0]);
            assert!(matches!(refused, Err(ReportError::Implausible { run: 1, .. })), "{value}");
        }
        assert!(Row::new("cost", Unit::Percent, vec![-1.0; RUNS_MIN]).is_ok(), "noise may look like a gain");
    }

    #[test]
    fn a_row_does_not_hide_another_of_its_name() {
        let mut report = fixture::report("local", [row("cast")]);
        assert!(matches!(report.add(row("cast")), Err(ReportError::Twice(_))));
        assert_eq!(report.rows().len(), 1);
    }

    #[test]
    fn points_of_a_curve_share_a_name() {
        let mut report =
            fixture::report("local", [16.0, 64.0].map(|shards| row("cast").at("shards", shards)));
        assert!(matches!(report.add(row("cast").at("shards", 64.0)), Err(ReportError::Twice(_))));
        assert_eq!(report.rows().len(), 2);
    }

    #[test]
    fn what_is_written_reads_back_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results");
        let report = fixture::report("local", [row("cast")]);

        report.write(&results).unwrap();
        let path = report.write(&results).unwrap();

        assert_eq!(path, results.join("local-0123456789ab.json"));
        assert_eq!(Report::read(&path).unwrap(), report);
        assert_eq!(fs::read_dir(results).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = Report::new("local", machine()).write(file.path()).unwrap_err();
        assert!(refused.to_string().contains(&*file.path().to_string_lossy()), "{refused}");
    }
}
