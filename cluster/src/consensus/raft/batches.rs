//! Many puts as a few batches that the store accepts, one behind the other.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::store::{Batch, Callback, Store, StoreError};

/// Puts in their order, in batches of at most `bytes_max` bytes, unless one put is larger.
pub(crate) struct Batches {
    full: Vec<Batch>,
    last: Batch,
    bytes_max: usize,
}

impl Batches {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { full: Vec::new(), last: Batch::new(), bytes_max }
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes) {
        if !self.last.is_empty() && self.last.bytes() + key.len() + value.len() > self.bytes_max {
            self.full.push(std::mem::take(&mut self.last));
        }
        self.last.put(key, value);
    }

    /// Hands everything to the store; `done` hears of the end of the last batch, or of the first failure. A batch
    /// is never durable without those before it, except when the store refused one of those.
    pub(crate) fn commit(self, store: &Store, done: Callback) {
        if self.full.is_empty() {
            return store.commit_then(self.last, done);
        }
        let failed = Arc::new(OnceLock::<StoreError>::new());
        for batch in self.full {
            let failed = Arc::clone(&failed);
            let note = move |result: Result<(), StoreError>| {
                if let Err(error) = result {
                    failed.get_or_init(|| error);
                }
            };
            store.commit_then(batch, Box::new(note));
        }
        let last = move |result| done(failed.get().cloned().map_or(result, Err));
        store.commit_then(self.last, Box::new(last));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{
        environment::Environment,
        store::{Config, Memory},
    };

    fn batches(bytes_max: usize, sizes: &[usize]) -> Batches {
        let mut batches = Batches::new(bytes_max);
        for (number, size) in sizes.iter().enumerate() {
            batches.put(vec![u8::try_from(number).unwrap()].into(), vec![0; size - 1].into());
        }
        batches
    }

    async fn commit(batches: Batches, batch_bytes_max: usize) -> (Store, Result<(), StoreError>) {
        let batch_bytes_max = NonZeroUsize::new(batch_bytes_max).unwrap();
        let config = Config { batch_bytes_max, ..Config::default() };
        let store = Store::start(Memory::new(), &Environment::simulated(1), config).unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        batches.commit(&store, Box::new(|result| sender.send(result).unwrap()));
        (store, receiver.await.unwrap())
    }

    #[test]
    fn puts_are_cut_before_a_batch_is_too_large() {
        let batches = batches(10, &[4, 6, 1, 30, 2, 8]);
        let lens: Vec<_> = batches.full.iter().map(Batch::len).collect();
        assert_eq!((lens, batches.last.len()), (vec![2, 1, 1], 2));
    }

    #[tokio::test(start_paused = true)]
    async fn all_batches_are_written() {
        let (store, result) = commit(batches(10, &[6, 6, 6]), 10).await;
        result.unwrap();
        assert_eq!(store.scan(&[0]..&[9], 9).unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_refused_fails_the_whole() {
        let (_, result) = commit(batches(10, &[30, 6]), 20).await;
        assert!(matches!(result, Err(StoreError::TooLarge { .. })));
    }
}
