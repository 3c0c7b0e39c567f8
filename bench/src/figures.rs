//! Figures as they are measured, run after run.

use crate::{Report, ReportError, Row, Unit};

/// Figures of several runs, in the order in which their names were first noted.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<(String, Unit, Vec<f64>)>,
    remarks: Vec<String>,
}

impl Figures {
    /// Notes what a run measured, and says so on standard error.
    #[allow(clippy::print_stderr)] // Progress; the result goes to a file.
    pub fn note(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        eprintln!("  {name}: {}", show(unit, value));
        match self.rows.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, _, runs)) => runs.push(value),
            None => self.rows.push((name, unit, vec![value])),
        }
    }

    /// Says something that is no figure, such as that a peer is not installed.
    #[allow(clippy::print_stderr)] // As above.
    pub fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Moves all rows into a report.
    ///
    /// # Errors
    ///
    /// When a row has too few runs, or is in the report already.
    pub fn into_report(self, mut report: Report) -> Result<Report, ReportError> {
        self.remarks.into_iter().for_each(|text| report.remark(text));
        for (name, unit, runs) in self.rows {
            report.add(Row::new(name, unit, runs)?)?;
        }
        Ok(report)
    }
}

/// A figure for people.
#[must_use]
pub fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        Unit::PerSecond if value >= 1e4 => format!("{:.1} k/s", value / 1e3),
        Unit::PerSecond => format!("{value:.0} /s"),
        Unit::Nanoseconds if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        Unit::Nanoseconds => format!("{value:.0} ns"),
        Unit::Bytes => format!("{value:.0} B"),
        Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{value:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, RUNS_MIN};

    #[test]
    fn runs_of_one_name_become_one_row() {
        let mut figures = Figures::default();
        for run in 0..RUNS_MIN {
            figures.note("cast", Unit::PerSecond, run as f64);
            figures.note("call", Unit::PerSecond, run as f64);
        }
        let report = figures.into_report(Report::new("local", Machine::here())).unwrap();
        let names: Vec<_> = report.rows().iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["cast", "call"]);
        assert_eq!(report.rows()[0].runs, [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(show(Unit::PerSecond, 12_345_678.0), "12.35 M/s");
        assert_eq!(show(Unit::PerSecond, 950.4), "950 /s");
        assert_eq!(show(Unit::Nanoseconds, 1_500_000.0), "1.5 ms");
    }
}
