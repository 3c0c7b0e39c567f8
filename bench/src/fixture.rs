//! Reports for tests.

use crate::{Machine, Report, Row, Unit};

/// Around 3.
pub(crate) const RUNS: [f64; 5] = [5.0, 1.0, 4.0, 2.0, 3.0];

/// A machine that does not exist.
pub(crate) fn machine() -> Machine {
    Machine {
        commit: "0123456789ab".to_owned(),
        cpu_model: "a CPU".to_owned(),
        kernel: "6.1".to_owned(),
        cores: 2,
        memory_bytes: None,
        versions: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn row(name: &str, unit: Unit, runs: &[f64]) -> Row {
    Row::new(name, unit, runs.to_vec()).unwrap()
}

/// A row whose runs lie around `median`.
pub(crate) fn around(name: &str, unit: Unit, median: f64) -> Row {
    row(name, unit, &[0.5, 1.0, 1.0, 1.0, 2.0].map(|times| times * median))
}

pub(crate) fn report(name: &str, rows: impl IntoIterator<Item = Row>) -> Report {
    let mut report = Report::new(name, machine());
    rows.into_iter().for_each(|row| report.add(row).unwrap());
    report
}
