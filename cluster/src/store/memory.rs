//! The engine in memory, with faults to inject. For simulation and tests; nothing outlives the process.
//!
//! A sync remembers which batches would be on a disk, so [`Memory::crash`] can say what a restarted node finds.
//! Batches that are not synced lie in a log of checksummed records; a crash may cut it at any byte, and the
//! recovery drops the record that was cut.

mod faults;
mod log;

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

pub use faults::Faults;

use super::{Batch, Engine, Op, Pairs, StoreError, View};

type Content = BTreeMap<Bytes, Bytes>;

/// What happens to batches that are not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies, the machine lives: everything written is there.
    Process,
    /// The machine dies, and nothing that was not synced reached the disk.
    LoseUnsynced,
    /// The machine dies, and only the first `kept_bytes` of what was not synced reached the disk. A batch that
    /// was cut is dropped as a whole.
    Tear {
        /// How many bytes of the log of unsynced batches survive.
        kept_bytes: usize,
    },
}

/// An ordered map in memory.
pub struct Memory {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Default)]
struct State {
    /// What reads see. Shared with views; a write copies it when a view exists.
    visible: Arc<Content>,
    /// What survives a crash for certain.
    durable: Content,
    /// What was written after the last sync.
    unsynced: Vec<Batch>,
}

impl Memory {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with(Content::new(), Faults::default())
    }

    fn with(content: Content, faults: Faults) -> Arc<Self> {
        let state = State { visible: Arc::new(content.clone()), durable: content, unsynced: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), faults })
    }

    /// The faults that can be injected.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What a node finds that is started after a crash at this moment. `self` goes on unchanged: drop the
    /// store that used it. The faults are those of `self` at this moment, except that syncs work again.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Arc<Self> {
        let state = self.state.lock();
        let mut log = log::encode(&state.unsynced);
        match crash {
            Crash::Process => (),
            Crash::LoseUnsynced => log.clear(),
            Crash::Tear { kept_bytes } => log.truncate(kept_bytes),
        }
        let mut content = state.durable.clone();
        log::decode(&log).iter().for_each(|batch| apply(&mut content, batch));
        Self::with(content, self.faults.after_restart())
    }

    /// How many bytes a crash may cut: the length of the log of unsynced batches.
    #[must_use]
    pub fn unsynced_bytes(&self) -> usize {
        log::encode(&self.state.lock().unsynced).len()
    }
}

impl Engine for Memory {
    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.faults.before_write(batch.bytes())?;
        let mut state = self.state.lock();
        apply(Arc::make_mut(&mut state.visible), batch);
        state.unsynced.push(batch.clone());
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.faults.before_sync()?;
        let state = &mut *self.state.lock();
        for batch in state.unsynced.drain(..) {
            apply(&mut state.durable, &batch);
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.lock().visible.get(key).cloned())
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        Ok(pairs(&self.state.lock().visible, range).take(limit).collect())
    }

    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        Ok(pairs(&self.state.lock().visible, range).next_back())
    }

    fn view(&self, _: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        Ok(Arc::new(Moment(self.state.lock().visible.clone())))
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_inline(&self) -> bool {
        true
    }

    fn latency(&self) -> Duration {
        self.faults.latency()
    }
}

/// The content at one time.
struct Moment(Arc<Content>);

impl View for Moment {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        Ok(pairs(&self.0, range).take(limit).collect())
    }
}

fn apply(content: &mut Content, batch: &Batch) {
    for op in batch.ops() {
        match op {
            Op::Put(key, value) => drop(content.insert(key.clone(), value.clone())),
            Op::Remove(key) => drop(content.remove(key)),
        }
    }
}

fn pairs<'a>(
    content: &'a Content,
    range: Range<&[u8]>,
) -> impl DoubleEndedIterator<Item = (Bytes, Bytes)> + 'a {
    // A map panics on a range that runs backwards.
    let end = range.end.max(range.start);
    content
        .range::<[u8], _>((Bound::Included(range.start), Bound::Excluded(end)))
        .map(|(key, value)| (key.clone(), value.clone()))
}
