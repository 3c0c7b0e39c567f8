//! A Raft group of one that commits when the test says so.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use playhouse_cluster::environment::watch;
use playhouse_cluster::{
    consensus::{Group, GroupId, Leadership, Observer, Progress, ProposeError, Term},
    store::{Batch, Engine, Memory, Pairs, StoreError},
};

/// A group of one replica in one term, over the memory store.
pub(crate) struct Solo {
    memory: Arc<Memory>,
    term: Term,
    leadership: watch::Sender<Leadership>,
}

impl Solo {
    pub(crate) fn new(memory: Arc<Memory>, term: Term) -> Self {
        Self { memory, term, leadership: watch::Sender::new(Leadership::Leader { term }) }
    }

    fn commit(&self, changes: &Batch) -> Result<(), StoreError> {
        self.memory.write(changes)?;
        self.memory.sync()
    }
}

impl Group for Solo {
    fn id(&self) -> GroupId {
        GroupId(0)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn propose(
        &self,
        term: Term,
        _: u64,
        changes: Batch,
        mut observer: Box<dyn Observer>,
    ) -> BoxFuture<'_, ()> {
        match self.commit(&changes) {
            _ if term != self.term => observer.progress(Progress::Failed(ProposeError::NotCommitted)),
            Err(_) => observer.progress(Progress::Failed(ProposeError::Unknown)),
            Ok(()) => {
                observer.progress(Progress::Committed);
                observer.progress(Progress::Applied);
            }
        }
        Box::pin(std::future::ready(()))
    }

    fn read_barrier(&self, term: Term) -> BoxFuture<'_, Result<(), ProposeError>> {
        let passed = if term == self.term { Ok(()) } else { Err(ProposeError::NotCommitted) };
        Box::pin(std::future::ready(passed))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.memory.scan(from..to, limit)
    }
}
