//! No proposal takes effect without the one before it.
//!
//! A caller proposes the next changes before it knows how the last ones went, and computes them from a state in
//! which the last ones happened. But openraft may refuse one proposal (the lease expired for a moment) and accept
//! the next in the same term. So the proposals of a term are numbered 1, 2, 3, … in the log. All replicas skip an
//! entry whose number does not follow, in the same way, because what they compare with is part of the applied
//! state; nothing later of that term takes effect then.
//!
//! The news of a commit comes before the entry is applied, and must not come for an entry that will be skipped.
//! Only the replica that proposed tells such news, and it knows of every refusal before the next proposal of the
//! term is appended. After a refusal it keeps the news back until the entry was applied or skipped ([`Refusals`]).

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What became of a log entry when its turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Its changes are there.
    Applied,
    /// Nothing of it is there, and never will be.
    Skipped,
}

/// The last proposal that took effect. Replicated state: the same on all replicas after the same entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    term: u64,
    number: u64,
}

impl Sequence {
    /// The turn of proposal `number` of `term`.
    pub(crate) fn advance(&mut self, term: u64, number: u64) -> Outcome {
        let last = if self.term == term { self.number } else { 0 };
        if last.checked_add(1) != Some(number) {
            return Outcome::Skipped;
        }
        *self = Self { term, number };
        Outcome::Applied
    }
}

/// The latest term in which a proposal of this replica was not appended, or may not have been.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    latest: AtomicU64,
    proposed: Mutex<Sequence>,
}

impl Refusals {
    /// Proposal `number` of `term` is about to be handed to openraft. A gap is as good as a refusal.
    pub(crate) fn proposing(&self, term: u64, number: u64) {
        if self.proposed.lock().advance(term, number) == Outcome::Skipped {
            self.note(term);
        }
    }

    pub(crate) fn note(&self, term: u64) {
        self.latest.fetch_max(term, Ordering::AcqRel);
    }

    /// Whether an entry of `term` that is appended now may be skipped. Also true for terms that are over.
    pub(crate) fn may_skip(&self, term: u64) -> bool {
        self.latest.load(Ordering::Acquire) >= term
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome::*, *};

    #[test]
    fn nothing_takes_effect_behind_a_gap_until_the_next_term() {
        let mut sequence = Sequence::default();
        let mut turn = |term, number| sequence.advance(term, number);
        assert_eq!([turn(3, 2), turn(3, 1), turn(3, 2)], [Skipped, Applied, Applied]);
        assert_eq!([turn(3, 4), turn(3, 5), turn(3, 2)], [Skipped, Skipped, Skipped]);
        assert_eq!([turn(4, 2), turn(4, 3), turn(5, 0)], [Skipped, Skipped, Skipped]);
        assert_eq!([turn(6, 1), turn(6, 2)], [Applied, Applied]);
    }

    #[test]
    fn a_refusal_makes_its_term_doubtful_and_not_the_next() {
        let refusals = Refusals::default();
        assert!(!refusals.may_skip(1));
        refusals.note(4);
        refusals.note(2);
        assert!(refusals.may_skip(4) && !refusals.may_skip(5));
        refusals.proposing(5, 1);
        refusals.proposing(5, 2);
        assert!(!refusals.may_skip(5));
        refusals.proposing(5, 4);
        assert!(refusals.may_skip(5));
    }
}
