//! The newest log entries of a group, in memory.
//!
//! An entry is readable as soon as it was handed to the store, before it is on disk: the store's writer may
//! still be busy with the batch before it. Entries that are on disk are kept as long as there is room, because
//! they are about to be applied and replicated.

use std::{collections::VecDeque, ops::Range};

/// Entries with their sizes in bytes.
type Entries<T> = VecDeque<(T, usize)>;

/// Entries `first..first + entries.len()`.
#[derive(Debug)]
pub(crate) struct Tail<T> {
    first: u64,
    entries: Entries<T>,
    bytes: usize,
    bytes_max: usize,
    /// Entries up to this index are on disk.
    durable: u64,
}

impl<T: Clone> Tail<T> {
    /// An empty tail that keeps at most `bytes_max` bytes of what is already on disk.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { first: 0, entries: VecDeque::new(), bytes: 0, bytes_max, durable: 0 }
    }

    /// Adds the entry at `index`, which must follow the last one.
    pub(crate) fn push(&mut self, index: u64, entry: T, bytes: usize) {
        if self.entries.is_empty() {
            self.first = index;
        }
        debug_assert_eq!(index, self.end(), "the log has no holes");
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `index` is on disk.
    pub(crate) fn mark_durable(&mut self, index: u64) {
        self.durable = self.durable.max(index);
        self.shrink();
    }

    /// Forgets everything behind `last`.
    pub(crate) fn truncate_after(&mut self, last: Option<u64>) {
        let keep = last.map_or(0, |last| last.saturating_add(1));
        while self.end() > keep && !self.entries.is_empty() {
            self.drop_entry(VecDeque::pop_back);
        }
        self.durable = self.durable.min(keep.saturating_sub(1));
    }

    /// Forgets everything up to `last`.
    pub(crate) fn purge(&mut self, last: u64) {
        while self.first <= last && !self.entries.is_empty() {
            self.drop_entry(VecDeque::pop_front);
            self.first += 1;
        }
    }

    /// The entries of `range`, if they are all here.
    pub(crate) fn get(&self, range: Range<u64>) -> Option<Vec<T>> {
        if range.is_empty() || range.start < self.first || range.end > self.end() {
            return None;
        }
        let from = usize::try_from(range.start - self.first).ok()?;
        let count = usize::try_from(range.end - range.start).ok()?;
        Some(self.entries.iter().skip(from).take(count).map(|(entry, _)| entry.clone()).collect())
    }

    /// The index of the first entry that is here.
    pub(crate) fn first(&self) -> Option<u64> {
        (!self.entries.is_empty()).then_some(self.first)
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max && self.first <= self.durable && !self.entries.is_empty() {
            self.drop_entry(VecDeque::pop_front);
            self.first += 1;
        }
    }

    fn drop_entry(&mut self, take: fn(&mut Entries<T>) -> Option<(T, usize)>) {
        if let Some((_, bytes)) = take(&mut self.entries) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(from: u64, to: u64) -> Tail<u64> {
        let mut tail = Tail::new(30);
        (from..to).for_each(|index| tail.push(index, index * 10, 10));
        tail
    }

    #[test]
    fn entries_that_are_not_on_disk_are_never_forgotten() {
        let mut tail = tail(5, 15);
        assert_eq!(tail.get(5..15).map(|all| all.len()), Some(10));
        tail.mark_durable(6);
        assert_eq!(tail.first(), Some(7));
        tail.mark_durable(14);
        assert_eq!(tail.first(), Some(12));
        assert_eq!(tail.get(11..13), None);
        assert_eq!(tail.get(12..15), Some(vec![120, 130, 140]));
    }

    #[test]
    fn truncation_and_purge_leave_no_holes() {
        let mut tail = tail(1, 4);
        tail.truncate_after(Some(2));
        tail.push(3, 33, 10);
        assert_eq!(tail.get(1..4), Some(vec![10, 20, 33]));
        tail.purge(2);
        assert_eq!(tail.get(3..4), Some(vec![33]));
        tail.truncate_after(None);
        assert_eq!(tail.first(), None);
        tail.push(9, 9, 10);
        assert_eq!(tail.get(9..10), Some(vec![9]));
    }
}
