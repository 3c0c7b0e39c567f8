//! What is stored, with what is executed but not applied yet laid over it.
//!
//! The executor writes here; consensus applies it later. Each change remembers the number of its proposal, so a
//! reply knows what it has to wait for, and a change is dropped when the store has it.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use playhouse_cluster::{
    consensus::Group,
    store::{Batch, Pairs, StoreError, scan_over},
};

/// The number of a proposal within one term, counting from 1. Not a log index.
pub(super) type ProposalNumber = u64;

/// What is stored, seen through what is executed.
pub(super) struct Pending {
    group: Arc<dyn Group>,
    changes: BTreeMap<Bytes, (ProposalNumber, Option<Bytes>)>,
    /// The proposal that is being filled.
    open: ProposalNumber,
    open_keys: Vec<Bytes>,
    open_bytes: usize,
}

/// A proposal on its way.
pub(super) struct Sealed {
    pub(super) number: ProposalNumber,
    pub(super) keys: Vec<Bytes>,
    pub(super) batch: Batch,
}

impl Pending {
    pub(super) fn new(group: Arc<dyn Group>) -> Self {
        Self { group, changes: BTreeMap::new(), open: 1, open_keys: Vec::new(), open_bytes: 0 }
    }

    /// The proposal that changes are part of now.
    pub(super) fn open_number(&self) -> ProposalNumber {
        self.open
    }

    /// How large the open proposal is, in bytes.
    pub(super) fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    pub(super) fn is_clean(&self) -> bool {
        self.open_keys.is_empty()
    }

    /// What was put into the open proposal will be larger by so many bytes when it is closed.
    pub(super) fn will_grow(&mut self, bytes: usize) {
        self.open_bytes += bytes;
    }

    pub(super) fn put(&mut self, key: Bytes, value: impl Into<Bytes>) {
        self.change(key, Some(value.into()));
    }

    pub(super) fn remove(&mut self, key: Bytes) {
        self.change(key, None);
    }

    fn change(&mut self, key: Bytes, value: Option<Bytes>) {
        self.open_bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + 9;
        let before = self.changes.insert(key.clone(), (self.open, value));
        if before.is_none_or(|(number, _)| number != self.open) {
            self.open_keys.push(key);
        }
    }

    /// The value, and the proposal that it is part of (0: stored).
    pub(super) fn get(&self, key: &[u8]) -> Result<(Option<Bytes>, ProposalNumber), StoreError> {
        match self.changes.get(key) {
            Some((number, value)) => Ok((value.clone(), *number)),
            None => Ok((self.group.get(key)?, 0)),
        }
    }

    /// The newest proposal that changes a key with `from <= key < to`; 0 if none does.
    pub(super) fn newest_in(&self, from: &Bytes, to: &Bytes) -> ProposalNumber {
        let range = (Bound::Included(from), Bound::Excluded(to));
        self.changes.range::<Bytes, _>(range).map(|(_, (number, _))| *number).max().unwrap_or(0)
    }

    /// Up to `limit` pairs with `from <= key < to`, ascending.
    pub(super) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        let stored = |from: &[u8], _: Option<&[u8]>, limit| self.group.scan(from, to, limit);
        scan_over(from, Some(to), limit, stored, |from, to| self.changed(from, to))
    }

    fn changed<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + use<'a> {
        let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        self.changes.range::<[u8], _>(range).map(|(key, (_, value))| (key, value))
    }

    /// Closes the open proposal and opens the next one.
    pub(super) fn seal(&mut self) -> Sealed {
        let number = self.open;
        let keys = std::mem::take(&mut self.open_keys);
        let mut batch = Batch::new();
        for key in &keys {
            match &self.changes[key].1 {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.remove(key.clone()),
            }
        }
        self.open += 1;
        self.open_bytes = 0;
        Sealed { number, keys, batch }
    }

    /// The store has the changes of `number` now.
    pub(super) fn applied(&mut self, number: ProposalNumber, keys: &[Bytes]) {
        for key in keys {
            if self.changes.get(key).is_some_and(|(newest, _)| *newest == number) {
                self.changes.remove(key);
            }
        }
    }
}
