//! A row whose name says who did which work.

use super::{BETWEEN, OURS};
use crate::{At, Row, figures::show};

/// A row whose name says who did which work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure<'a> {
    /// What was done.
    pub(crate) work: &'a str,
    /// Who did it; what follows a comma says how.
    pub(crate) who: &'a str,
    /// What it took.
    pub(crate) row: &'a Row,
}

impl<'a> Figure<'a> {
    /// A name that does not say who is ours.
    pub(crate) fn of(row: &'a Row) -> Self {
        let (work, who) = row.name.split_once(BETWEEN).unwrap_or((&row.name, OURS));
        Self { work, who, row }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.who.split(',').next() == Some(OURS)
    }

    /// How we did it, such as `, encryption off`; empty for others, and when there is one way only.
    pub(crate) fn how(&self) -> &'a str {
        if self.is_ours() { self.who.strip_prefix(OURS).unwrap_or_default() } else { "" }
    }

    /// What others took for the same work at the same place.
    pub(crate) fn peers(&self, all: &[Self]) -> Vec<Self> {
        let is_peer =
            |other: &&Self| other.work == self.work && other.row.at == self.row.at && !other.is_ours();
        all.iter().filter(is_peer).copied().collect()
    }

    /// The work, how we did it, and where on a curve.
    pub(crate) fn title(&self) -> String {
        let place = self.row.at.as_ref().map(place).unwrap_or_default();
        format!("{}{}{place}", self.work, self.how())
    }

    pub(crate) fn median(&self) -> String {
        show(self.row.unit, self.row.summary.median)
    }

    /// Above 1: better than the other one. `None` when one of them is 0.
    pub(crate) fn times_better(&self, other: &Self) -> Option<f64> {
        let (own, other) = (self.row.summary.median, other.row.summary.median);
        let ratio = if self.row.unit.is_better_when_more() { own / other } else { other / own };
        (own > 0.0 && other > 0.0).then_some(ratio)
    }
}

fn place(at: &At) -> String {
    format!(", {} {}", at.axis, at.value)
}
