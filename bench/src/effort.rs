//! How much is measured.

use crate::RUNS_MIN;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How often.
    pub runs: usize,
    /// Counts and times are a hundredth: it shows that a row works and measures nothing.
    pub is_quick: bool,
}

impl Effort {
    /// For figures.
    pub const FULL: Self = Self { runs: RUNS_MIN, is_quick: false };
    /// To try a row. Its figures mean nothing.
    pub const QUICK: Self = Self { runs: RUNS_MIN, is_quick: true };

    /// How many of `full` are made; at least one.
    #[must_use]
    pub fn of(self, full: usize) -> usize {
        if self.is_quick { (full / 100).max(1) } else { full }
    }

    /// How long is measured.
    #[must_use]
    pub fn lasting(self, full: std::time::Duration) -> std::time::Duration {
        if self.is_quick { full / 20 } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_row_makes_little_but_never_nothing() {
        assert_eq!((Effort::QUICK.of(4_000), Effort::QUICK.of(3)), (40, 1));
        assert_eq!(Effort::FULL.of(4_000), 4_000);
    }
}
