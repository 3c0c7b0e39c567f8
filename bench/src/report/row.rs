//! One thing that was measured several times.

use serde::{Deserialize, Serialize};

use super::{RUNS_MIN, ReportError};

/// In what a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Nanoseconds,
    /// Less is better.
    Bytes,
    /// Of what should not be, such as losses: less is better. What is held, such as connections, is counted only where runs are [not
    /// compared](crate::compare).
    Count,
    /// Of one core, or of what something costs, which may be below 0. Less is better.
    Percent,
}

impl Unit {
    /// Whether more is better.
    #[must_use]
    pub fn is_better_when_more(self) -> bool {
        self == Self::PerSecond
    }
}

/// One thing that was measured several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured, such as `local call, 64 callers`.
    pub name: String,
    /// Where on a curve it lies; rows of one name with different places are one curve. `None`: it stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// In what.
    pub unit: Unit,
    /// Each run, in the order in which they were made. None is left out.
    pub runs: Vec<f64>,
    /// The runs in three figures.
    pub summary: Summary,
}

/// How much there was of what grows from row to row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// What grows, such as `shards` or `payload, bytes`.
    pub axis: String,
    /// How much of it there was.
    pub value: f64,
}

/// Several runs in three figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// The one in the middle; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// Of a hundred runs, the largest but one; of fewer, the largest.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Row {
    /// A row of at least [`RUNS_MIN`] runs.
    ///
    /// # Errors
    ///
    /// When there are fewer, or one of them is no measurement.
    pub fn new(name: impl Into<String>, unit: Unit, runs: Vec<f64>) -> Result<Self, ReportError> {
        let name = name.into();
        if runs.len() < RUNS_MIN {
            return Err(ReportError::TooFewRuns { name, runs: runs.len() });
        }
        let is_odd = |run: f64| !run.is_finite() || run < 0.0 && unit != Unit::Percent;
        if let Some((run, &value)) = runs.iter().enumerate().find(|(_, run)| is_odd(**run)) {
            return Err(ReportError::Implausible { name, run, value });
        }
        let summary = Summary::of(&runs);
        Ok(Self { name, at: None, unit, runs, summary })
    }

    /// The row as a point of a curve.
    #[must_use]
    pub fn at(self, axis: impl Into<String>, value: f64) -> Self {
        Self { at: Some(At { axis: axis.into(), value }), ..self }
    }
}

impl Summary {
    fn of(runs: &[f64]) -> Self {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let median = f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
        let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
        Self { min: sorted[0], median, p99, max: sorted[last] }
    }
}
