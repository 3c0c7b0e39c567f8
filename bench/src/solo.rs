//! A Raft group of one over the memory store, which commits at once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use playhouse_cluster::environment::watch;
use playhouse_cluster::{
    consensus::{Group, GroupId, Leadership, Observer, Progress, ProposeError, Term},
    store::{Batch, Engine, Memory, Pairs, StoreError},
};

/// The only term of the group.
pub const TERM: Term = Term(1);

/// A Raft group of one that leads in [`TERM`] for ever.
pub struct Solo {
    memory: Arc<Memory>,
    leadership: watch::Sender<Leadership>,
}

impl Default for Solo {
    fn default() -> Self {
        Self { memory: Memory::new(), leadership: watch::Sender::new(Leadership::Leader { term: TERM }) }
    }
}

impl Solo {
    /// Commits and applies.
    ///
    /// # Panics
    ///
    /// Never: the memory store has no faults.
    pub fn commit(&self, changes: &Batch) {
        self.memory.write(changes).and_then(|()| self.memory.sync()).expect("the memory store has no faults");
    }
}

impl Group for Solo {
    fn id(&self) -> GroupId {
        GroupId(0)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn propose(&self, _: Term, _: u64, changes: Batch, mut observer: Box<dyn Observer>) -> BoxFuture<'_, ()> {
        self.commit(&changes);
        observer.progress(Progress::Committed);
        observer.progress(Progress::Applied);
        Box::pin(std::future::ready(()))
    }

    fn read_barrier(&self, _: Term) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.memory.scan(from..to, limit)
    }
}
