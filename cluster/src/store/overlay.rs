//! Changes laid over what is stored, for whoever shows them before the store has them.

use bytes::Bytes;

use super::{Pairs, StoreError};

/// How many pairs one look at the store asks for at most, unless so many are wanted, when all that the look before it showed was hidden.
const HIDDEN_PER_LOOK_MAX: usize = 256;

/// Up to `limit` pairs with `from <= key`, and `key < to` if there is an end, ascending.
///
/// `stored` finds pairs of a range, ascending, at most as many as it is told; `changed` finds the changes of a range, ascending: the new
/// value of a key, or that it has none. A change hides what is stored.
///
/// # Errors
///
/// Those of `stored`.
pub fn scan_over<'a, C: Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>>(
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
    stored: impl Fn(&[u8], Option<&[u8]>, usize) -> Result<Pairs, StoreError>,
    changed: impl Fn(&[u8], Option<&[u8]>) -> C,
) -> Result<Pairs, StoreError> {
    let mut found = Pairs::new();
    let mut next = Some(Bytes::copy_from_slice(from));
    let mut further = 0;
    while let Some(from) = next.take_if(|from| found.len() < limit && to.is_none_or(|to| &from[..] < to)) {
        let (before, ask) = (found.len(), further.max(limit - found.len()));
        let pairs = stored(&from, to, ask)?;
        // Past this key the store may hold more than it showed.
        next = pairs.last().filter(|_| pairs.len() == ask).map(|(last, _)| successor(last));
        merge(&mut found, pairs, changed(&from, next.as_deref().or(to)));
        // Only then: whoever asks for few may have no room for more, as values may be large.
        further = if found.len() == before { ask.saturating_mul(4).min(HIDDEN_PER_LOOK_MAX) } else { 0 };
    }
    found.truncate(limit);
    Ok(found)
}

/// The smallest key that is greater than `key`.
#[must_use]
pub fn successor(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// Adds stored pairs and changes, both ascending, to `found`; a change hides what is stored.
fn merge<'a>(
    found: &mut Pairs,
    stored: Pairs,
    changes: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
) {
    let mut stored = stored.into_iter().peekable();
    for (key, value) in changes {
        while let Some(pair) = stored.next_if(|(stored, _)| stored < key) {
            found.push(pair);
        }
        stored.next_if(|(stored, _)| stored == key);
        if let Some(value) = value {
            found.push((key.clone(), value.clone()));
        }
    }
    found.extend(stored);
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
        ops::Bound,
    };

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Bytes, Option<Bytes>>;

    fn in_range<'a>(
        model: &'a Model,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
        model.range::<[u8], _>((Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded)))
    }

    fn scan(stored: &Model, changes: &Model, from: &[u8], to: Option<&[u8]>, limit: usize) -> Pairs {
        let find = |from: &[u8], to: Option<&[u8]>, limit| {
            let pairs =
                in_range(stored, from, to).filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            Ok(pairs.take(limit).collect())
        };
        scan_over(from, to, limit, find, |from, to| in_range(changes, from, to)).unwrap()
    }

    fn key() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(0u8..3, 0..4).prop_map(Bytes::from)
    }

    fn model() -> impl Strategy<Value = Model> {
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 1).prop_map(Bytes::from));
        prop::collection::btree_map(key(), value, 0..20)
    }

    /// One look for each would be a search of the store for each.
    #[test]
    fn many_hidden_keys_are_passed_in_few_looks() {
        let keys = (0..1_000u16).map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
        let stored: Model = keys.map(|key| (key, Some(Bytes::from("value")))).collect();
        let mut changes: Model = stored.keys().map(|key| (key.clone(), None)).collect();
        let (last, _) = changes.pop_last().unwrap();
        let looks = Cell::new(0);
        let find = |from: &[u8], to: Option<&[u8]>, limit| {
            looks.set(looks.get() + 1);
            let pairs = in_range(&stored, from, to);
            Ok(pairs.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).take(limit).collect())
        };
        let found = scan_over(b"", None, 1, find, |from, to| in_range(&changes, from, to)).unwrap();
        assert_eq!(found, [(last, Bytes::from("value"))]);
        assert!(looks.get() < 10, "{}", looks.get());
    }

    /// Values may be large, and what is asked for is in memory together.
    #[test]
    fn one_hidden_key_costs_one_more() {
        let keys = (0..100_u8).map(|number| Bytes::copy_from_slice(&[number]));
        let stored: Model = keys.map(|key| (key, Some(Bytes::from("value")))).collect();
        let changes: Model = [(Bytes::from_static(&[7]), None)].into();
        let asked = RefCell::new(Vec::new());
        let find = |from: &[u8], to: Option<&[u8]>, limit| {
            asked.borrow_mut().push(limit);
            let pairs = in_range(&stored, from, to);
            Ok(pairs.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).take(limit).collect())
        };
        let found = scan_over(b"", None, 32, find, |from, to| in_range(&changes, from, to)).unwrap();
        assert_eq!((found.len(), asked.into_inner()), (32, vec![32, 1]));
    }

    proptest! {
        /// As if the changes had been made first.
        #[test]
        fn a_scan_sees_what_the_store_will_hold(
            stored in model(), changes in model(), from in key(), to in prop::option::of(key()), limit in 0usize..12,
        ) {
            prop_assume!(to.as_ref().is_none_or(|to| from <= *to));
            let mut after = stored.clone();
            after.extend(changes.clone());
            let expected = scan(&after, &Model::new(), &from, to.as_deref(), limit);
            prop_assert_eq!(scan(&stored, &changes, &from, to.as_deref(), limit), expected);
        }

        #[test]
        fn nothing_lies_between_a_key_and_its_successor(key in key(), other in key()) {
            prop_assert!(successor(&key) > key);
            prop_assert!(other <= key || other >= successor(&key));
        }
    }
}
