//! Figures as they are measured, run after run.

use crate::{At, Report, ReportError, Row, Unit};

/// Figures of several runs, in the order in which their names were first noted.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<Measured>,
    remarks: Vec<String>,
}

impl Figures {
    /// Notes what a run measured, and says so on standard error.
    #[allow(clippy::print_stderr)] // Progress; the result goes to a file.
    pub fn note(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        eprintln!("  {name}: {}", show(unit, value));
        self.keep(name, None, unit, value);
    }

    /// Notes what a run measured at one point of a curve: `axis` is what grows, such as `shards`, and `x` how much there was of it.
    #[allow(clippy::print_stderr)] // As above.
    pub fn note_at(&mut self, name: impl Into<String>, (axis, x): (&str, f64), unit: Unit, value: f64) {
        let name = name.into();
        eprintln!("  {name}, {axis} {x}: {}", show(unit, value));
        self.keep(name, Some(At { axis: axis.to_owned(), value: x }), unit, value);
    }

    fn keep(&mut self, name: String, at: Option<At>, unit: Unit, value: f64) {
        match self.rows.iter_mut().find(|known| known.name == name && known.at == at) {
            Some(known) => known.runs.push(value),
            None => self.rows.push(Measured { name, at, unit, runs: vec![value] }),
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
        for Measured { name, at, unit, runs } in self.rows {
            let row = Row::new(name, unit, runs)?;
            report.add(Row { at, ..row })?;
        }
        Ok(report)
    }
}

#[derive(Debug)]
struct Measured {
    name: String,
    at: Option<At>,
    unit: Unit,
    runs: Vec<f64>,
}

/// A figure for people.
#[must_use]
pub fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        Unit::PerSecond if value >= 1e4 => format!("{:.1} k/s", value / 1e3),
        Unit::PerSecond => format!("{value:.0} /s"),
        Unit::Nanoseconds if value >= 1e9 => format!("{:.2} s", value / 1e9),
        Unit::Nanoseconds if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        Unit::Nanoseconds => format!("{value:.0} ns"),
        Unit::Bytes if value >= 1e9 => format!("{:.2} GB", value / 1e9),
        Unit::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
        Unit::Bytes if value >= 1e5 => format!("{:.1} kB", value / 1e3),
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
    fn runs_at_one_point_of_a_curve_become_one_row() {
        let mut figures = Figures::default();
        for run in 0..RUNS_MIN {
            figures.note_at("cast", ("shards", 16.0), Unit::PerSecond, run as f64);
            figures.note_at("cast", ("shards", 64.0), Unit::PerSecond, run as f64);
        }
        let report = figures.into_report(Report::new("scale", Machine::here())).unwrap();
        let places: Vec<_> = report.rows().iter().map(|row| row.at.as_ref().unwrap().value).collect();
        assert_eq!(places, [16.0, 64.0]);
        assert_eq!(report.rows()[1].runs.len(), RUNS_MIN);
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(show(Unit::PerSecond, 12_345_678.0), "12.35 M/s");
        assert_eq!(show(Unit::PerSecond, 950.4), "950 /s");
        assert_eq!(show(Unit::Nanoseconds, 1_500_000.0), "1.5 ms");
        assert_eq!(show(Unit::Nanoseconds, 1_500_000_000.0), "1.50 s");
        assert_eq!(show(Unit::Bytes, 12_345.0), "12345 B");
        assert_eq!(show(Unit::Bytes, 81_928_192.0), "81.9 MB");
    }
}
