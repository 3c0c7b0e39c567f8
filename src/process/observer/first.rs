//! The first few of many, in order.

use std::collections::BTreeMap;

use super::Excerpt;

/// Keeps the `max` smallest of what it is given, and counts the others.
pub(super) struct First<K, V> {
    kept: BTreeMap<K, V>,
    max: usize,
    more: usize,
}

impl<K: Ord, V> First<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { kept: BTreeMap::new(), max, more: 0 }
    }

    pub(super) fn push(&mut self, key: K, value: V) {
        self.kept.insert(key, value);
        if self.kept.len() > self.max {
            self.kept.pop_last();
            self.more += 1;
        }
    }

    pub(super) fn into_excerpt<T>(self, make: impl Fn(K, V) -> T) -> Excerpt<T> {
        let shown = self.kept.into_iter().map(|(key, value)| make(key, value)).collect();
        Excerpt { shown, more: self.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_are_kept_and_the_others_counted() {
        let mut first = First::new(2);
        for number in [5, 1, 4, 2, 3] {
            first.push(number, ());
        }
        assert_eq!(first.into_excerpt(|number, ()| number), Excerpt { shown: vec![1, 2], more: 3 });
    }
}
