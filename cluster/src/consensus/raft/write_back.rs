//! What is applied and not yet in the store.
//!
//! The log has it, durably, so it need not be written again at once: a key that is changed by many entries is written once for
//! all of them, and nobody waits for the store to apply an entry. After a crash the store has an older state and the log has
//! the entries behind it, which are applied again.
//!
//! ```text
//! apply ─▶ fresh ─▶ leaving ─▶ store        reads look in this order
//! ```
//!
//! 1. **A flush is one batch, with the log position that belongs to it**, so state and position in the store never part.
//! 2. **The log is cut only below a position that was flushed and synced.**
//! 3. One flush runs at a time. One that was interrupted is repeated by the next, whether or not the store has it.

use std::{
    collections::BTreeMap,
    ops::{
        Bound::{Excluded, Included, Unbounded},
        Range,
    },
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    machine::Applied,
    sequence::Sequence,
    snapshot::Taken,
    types::{LogId, Membership, encode},
};
use crate::{
    consensus::keys::{Keys, STATE_PREFIX_BYTES},
    environment::watch,
    store::{Batch, Health, Op, Pairs, Store, StoreError, scan_over},
};

/// How many bytes of changes may wait for the store before more is taken, and how many are taken at once, unless one proposal is larger. As
/// much again may be on its way to the store.
pub(super) const WAITING_BYTES_MAX: usize = 256 << 10;
/// How long changes may wait for the store.
const WAITING_MAX: Duration = Duration::from_millis(500);

/// The last change of each key: its value, or that it has none.
pub(super) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// The state of one group: the store, with what is applied and not yet written laid over it.
pub(crate) struct WriteBack {
    store: Store,
    keys: Keys,
    layers: Mutex<Layers>,
    /// Held by the one that writes.
    turn: tokio::sync::Mutex<()>,
    work: Notify,
    stage: watch::Sender<Stage>,
}

/// How far a replica is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Running,
    /// It waits for nothing that may never come.
    Stopping,
    /// Nothing will be applied any more.
    Over,
}

struct Layers {
    applied: Applied,
    fresh: Changes,
    /// Handed to the store, which may have it or not.
    leaving: Changes,
    /// How many bytes were applied since the last flush.
    bytes: usize,
    /// Whether anything was, be it only the position.
    is_dirty: bool,
    /// Whether a flush began and did not end well, or not yet.
    is_leaving: bool,
}

impl WriteBack {
    pub(super) fn new(store: Store, keys: Keys, applied: Applied) -> Self {
        let (turn, work) = (tokio::sync::Mutex::default(), Notify::new());
        let stage = watch::Sender::new(Stage::default());
        Self { store, keys, layers: Mutex::new(Layers::new(applied)), turn, work, stage }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The generation of the state, and the position that it stands at.
    pub(super) fn applied(&self) -> Applied {
        self.layers.lock().applied.clone()
    }

    pub(super) fn generation(&self) -> u32 {
        self.layers.lock().applied.generation
    }

    /// Takes the changes of entries, in order, and the position behind them. Reads see them when it returns. `true`: there is too
    /// much, [`flush`](Self::flush) it.
    pub(super) fn take(
        &self,
        changes: Vec<Op>,
        (last, sequence): (Option<LogId>, Sequence),
        membership: Option<Membership>,
    ) -> bool {
        let mut layers = self.layers.lock();
        let was_dirty = std::mem::replace(&mut layers.is_dirty, true);
        (layers.applied.last, layers.applied.sequence) = (last, sequence);
        if let Some(membership) = membership {
            layers.applied.membership = membership;
        }
        for op in changes {
            layers.add(op);
        }
        let is_full = layers.bytes >= WAITING_BYTES_MAX;
        drop(layers);
        if !was_dirty {
            self.work.notify_one();
        }
        is_full
    }

    /// Writes what waits; reads of the store see it when it returns. It is durable with the next commit at the latest. A replica that
    /// stops does not wait for space: the log has it all.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        self.unless_stopping_without_space(self.write()).await
    }

    async fn unless_stopping_without_space(
        &self,
        write: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            written = write => written,
            () = self.stops_without_space() => Err(StoreError::closed("the replica stops, and the volume is full")),
        }
    }

    async fn write(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let Some(batch) = self.layers.lock().leave(self.keys) else { return Ok(()) };
        self.store.apply(batch).await?;
        let mut layers = self.layers.lock();
        layers.is_leaving = false;
        let written = std::mem::take(&mut layers.leaving);
        drop(layers);
        drop(written);
        Ok(())
    }

    /// Makes the state of another generation, which is in the store, the current one; durable when it returns.
    pub(super) async fn replace(&self, applied: Applied) -> Result<(), StoreError> {
        self.unless_stopping_without_space(self.write_other(applied)).await
    }

    async fn write_other(&self, applied: Applied) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let mut batch = Batch::new();
        batch.put(self.keys.applied(), encode(&applied));
        self.store.commit(batch).await?;
        *self.layers.lock() = Layers::new(applied);
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let generation = {
            let layers = self.layers.lock();
            if let Some(value) = layers.fresh.get(key).or_else(|| layers.leaving.get(key)) {
                return Ok(value.clone());
            }
            layers.applied.generation
        };
        self.store.get(&self.keys.state_key(generation, key))
    }

    pub(super) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        let (generation, changes) = {
            let layers = self.layers.lock();
            (layers.applied.generation, layers.between(from, to, limit))
        };
        let stored = |range: Range<&[u8]>, limit| self.store.scan(range, limit);
        scan_state((self.keys, generation), &changes, (from, Some(to)), limit, stored)
    }

    /// The state as it is now.
    pub(super) fn freeze(&self) -> Result<Taken, StoreError> {
        let range = self.keys.all();
        // Under the lock, so that nothing leaves between the two. What is leaving is in the view or not: the changes hide it.
        let layers = self.layers.lock();
        let view = self.store.view(&range.start..&range.end)?;
        Ok(Taken::new(view, layers.merged(), self.keys, layers.applied.clone()))
    }

    /// Writes what waits for long enough, until the machine ends; then the rest. Holds `alive` until nothing is written any more.
    pub(super) async fn run(self: Arc<Self>, alive: watch::Sender<u64>) {
        loop {
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = self.reached(Stage::Over) => {}
            }
            // More may come meanwhile: one batch for all.
            drop(tokio::time::timeout(WAITING_MAX, self.reached(Stage::Over)).await);
            let is_over = *self.stage.borrow() == Stage::Over;
            let flushed = self.flush().await;
            if let Err(error) = &flushed {
                // Whoever applies or appends next hears it, too, and stops.
                tracing::debug!(%error, "what is applied could not be written");
            }
            if is_over || flushed.is_err() {
                return drop(alive);
            }
        }
    }

    async fn reached(&self, stage: Stage) {
        // It cannot end otherwise: we hold what tells.
        drop(self.stage.subscribe().wait_for(|now| *now >= stage).await);
    }

    async fn stops_without_space(&self) {
        self.reached(Stage::Stopping).await;
        let is_full = |health: &Health| matches!(health, Health::Full { .. });
        if self.store.health().wait_for(is_full).await.is_err() {
            // The store has ended, which whoever writes hears.
            std::future::pending().await
        }
    }

    /// From now on nothing waits for space: the log has what is not written.
    pub(super) fn stop(&self) {
        self.stage.send_modify(|stage| *stage = Stage::Stopping.max(*stage));
    }

    /// Nothing will be applied any more.
    pub(super) fn end(&self) {
        self.stage.send_replace(Stage::Over);
    }
}

impl Layers {
    fn new(applied: Applied) -> Self {
        let (fresh, leaving) = (Changes::new(), Changes::new());
        Self { applied, fresh, leaving, bytes: 0, is_dirty: false, is_leaving: false }
    }

    fn add(&mut self, op: Op) {
        let (key, value) = match op {
            Op::Put(key, value) => (key, Some(value)),
            Op::Remove(key) => (key, None),
        };
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        self.fresh.insert(key, value);
    }

    /// What is to be written now: one batch with its position.
    fn leave(&mut self, keys: Keys) -> Option<Batch> {
        // A flush that was interrupted is repeated, be it only for its position.
        if !std::mem::take(&mut self.is_dirty) && !self.is_leaving {
            return None;
        }
        (self.is_leaving, self.bytes) = (true, 0);
        match self.leaving.is_empty() {
            true => self.leaving = std::mem::take(&mut self.fresh),
            false => self.leaving.append(&mut self.fresh),
        }
        let mut batch = Batch::new();
        for (key, value) in &self.leaving {
            let key = keys.state_key(self.applied.generation, key);
            batch.push(match value {
                Some(value) => Op::Put(key, value.clone()),
                None => Op::Remove(key),
            });
        }
        batch.put(keys.applied(), encode(&self.applied));
        Some(batch)
    }

    fn merged(&self) -> Changes {
        let mut changes = self.leaving.clone();
        changes.extend(self.fresh.iter().map(|(key, value)| (key.clone(), value.clone())));
        changes
    }

    /// The changes with `from <= key < to`, up to the one with the `limit`th value: whatever comes behind so many is not asked for.
    fn between(&self, from: &[u8], to: &[u8], limit: usize) -> Changes {
        let mut found = Changes::new();
        if from >= to {
            return found;
        }
        let range = (Included(from), Excluded(to));
        let mut leaving = self.leaving.range::<[u8], _>(range).peekable();
        let mut fresh = self.fresh.range::<[u8], _>(range).peekable();
        let mut values = 0;
        while values < limit {
            let older = leaving.next_if(|(key, _)| fresh.peek().is_none_or(|(newer, _)| key < newer));
            let Some((key, value)) = older.or_else(|| fresh.next()) else { break };
            // Hidden by the newer one.
            leaving.next_if(|(older, _)| *older == key);
            values += usize::from(value.is_some());
            found.insert(key.clone(), value.clone());
        }
        found
    }
}

/// Pairs of the state of a generation, with `changes` laid over it; `stored` finds what is stored in a range.
pub(super) fn scan_state(
    (keys, generation): (Keys, u32),
    changes: &Changes,
    (from, to): (&[u8], Option<&[u8]>),
    limit: usize,
    stored: impl Fn(Range<&[u8]>, usize) -> Result<Pairs, StoreError>,
) -> Result<Pairs, StoreError> {
    let stored = |from: &[u8], to: Option<&[u8]>, limit| {
        let end = to.map_or_else(|| keys.generation(generation).end, |to| keys.state_key(generation, to));
        let mut pairs = stored(&keys.state_key(generation, from)..&end, limit)?;
        pairs.iter_mut().for_each(|(key, _)| key.advance(STATE_PREFIX_BYTES));
        Ok(pairs)
    };
    let changed = |from: &[u8], to: Option<&[u8]>| {
        changes.range::<[u8], _>((Included(from), to.map_or(Unbounded, Excluded)))
    };
    scan_over(from, to, limit, stored, changed)
}

#[cfg(test)]
mod tests;
