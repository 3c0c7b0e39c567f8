//! The store as everybody else sees it.

use std::{ops::Range, sync::Arc};

use crate::environment::watch;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Batch, Callback, Config, Engine, Health, KEY_BYTES_MAX, Pairs, Probe, RESERVED_PREFIX, Statistics,
    StoreError, View,
    inline::Inline,
    overlay::successor,
    queue::Queue,
    request::{Request, Until, Waiter},
    writer::{Shared, Writer},
};
use crate::environment::Environment;

/// How many keys one background removal takes at a time.
const REMOVAL_KEYS: usize = 1_024;

/// One engine behind one writer. A cheap handle; the files are released when the last handle and the last
/// [`View`] are gone.
///
/// Calls of one caller reach the engine in the order of the calls, whichever they are.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use playhouse_cluster::{environment::Environment, store::{Batch, Config, Memory, Store}};
///
/// let store = Store::start(Memory::new(), &Environment::simulated(1), Config::default()).unwrap();
/// let mut batch = Batch::new();
/// batch.put("key", "value");
/// store.commit(batch).await.unwrap();
/// assert_eq!(store.get(b"key").unwrap().unwrap(), "value");
/// # });
/// ```
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    owner: Arc<Owner>,
}

/// Held by the handles only: when the last is gone, the writer ends.
struct Owner {
    shared: Arc<Shared>,
    mode: Mode,
}

/// Who writes.
enum Mode {
    /// A thread; the channel closes when it released the engine.
    Thread { ended: watch::Receiver<()> },
    /// The caller.
    Inline(Arc<Inline>),
}

impl Store {
    /// Starts the writer of `engine`: a thread, or none if the engine is [inline](Engine::is_inline).
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub fn start(
        engine: Arc<dyn Engine>,
        environment: &Environment,
        config: Config,
    ) -> Result<Self, StoreError> {
        let statistics = Arc::new(Statistics::default());
        let queue = Queue::new(config.queue_bytes_max.get(), statistics.clone());
        let (health, _) = watch::channel(Health::Healthy);
        let environment = environment.clone();
        let shared = Arc::new(Shared {
            engine,
            environment,
            config,
            queue,
            health,
            statistics,
            disk: Arc::default(),
            alive: watch::Sender::default(),
        });
        let mode = if shared.engine.is_inline() {
            Mode::Inline(Inline::new(shared.clone()))
        } else {
            Mode::Thread { ended: start_thread(&shared)? }
        };
        Ok(Self { owner: Arc::new(Owner { shared: shared.clone(), mode }), shared })
    }

    /// Writes `batch`; returns when it, and everything before it, is durable. An empty batch makes durable what
    /// was applied before. When the future is dropped the batch may still be written.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] or [`StoreError::Key`]: nothing was written. Any other error: see [`Health::Failed`]; whether the batch
    /// survives is unknown until the next recovery.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.write(batch, Until::Durable).await
    }

    /// Writes `batch`; returns when reads see it. It becomes durable with the next commit at the latest, and never
    /// before what was written earlier.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.write(batch, Until::Visible).await
    }

    /// Writes `batch`; calls `done` when it, and everything before it, is durable, or failed. Never blocks and
    /// never waits for room, but counts towards the bound: await [`room`](Self::room) first to keep it.
    ///
    /// `done` runs on the writer (with an inline engine: perhaps before this returns), so it must not block.
    pub fn commit_then(&self, batch: Batch, done: Callback) {
        match self.check(&batch) {
            Ok(()) => self.push(batch, Until::Durable, Waiter::callback(done)),
            Err(error) => done(Err(error)),
        }
    }

    /// Returns when the queue has room for more.
    pub async fn room(&self) {
        self.shared.queue.room().await;
    }

    async fn write(&self, batch: Batch, until: Until) -> Result<(), StoreError> {
        self.check(&batch)?;
        self.room().await;
        let (sender, receiver) = oneshot::channel();
        self.push(batch, until, Waiter::channel(sender));
        receiver.await.unwrap_or_else(|_| Err(StoreError::closed("the writer ended")))
    }

    fn push(&self, batch: Batch, until: Until, waiter: Waiter) {
        let accepted = self.shared.queue.push(Request { batch, until, waiter });
        match (accepted, &self.owner.mode) {
            (Ok(true), Mode::Inline(inline)) => inline.drive(),
            (Ok(_), _) => (),
            (Err(refused), _) => {
                let (request, reason) = *refused;
                request.refuse(reason);
            }
        }
    }

    /// How large one batch may be, in bytes.
    #[must_use]
    pub fn batch_bytes_max(&self) -> usize {
        self.shared.config.batch_bytes_max.get()
    }

    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.ops().iter().try_for_each(|op| check_key(op.key()))?;
        let (bytes, bytes_max) = (batch.bytes(), self.batch_bytes_max());
        if bytes > bytes_max {
            return Err(StoreError::TooLarge { what: "batch", bytes, bytes_max });
        }
        Ok(())
    }

    /// Removes every key that starts with `prefix`, in many batches; durable when it returns. Returns how many.
    ///
    /// Not atomic: after a crash some of them may be left, so call it again. Nobody may write such a key
    /// meanwhile: it could be removed too.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit); some keys may be removed already.
    pub async fn remove_prefix(&self, prefix: &[u8]) -> Result<u64, StoreError> {
        self.remove_range(prefix, &end_of_prefix(prefix)).await
    }

    /// Removes every key with `from <= key < to`, with the promises of [`remove_prefix`](Self::remove_prefix).
    ///
    /// # Errors
    ///
    /// As [`remove_prefix`](Self::remove_prefix).
    pub async fn remove_range(&self, from: &[u8], to: &[u8]) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut from = Bytes::copy_from_slice(from);
        loop {
            let keys = self.keys(&from..to, REMOVAL_KEYS)?;
            let Some(last) = keys.last() else { break };
            from = successor(last);
            removed += keys.len() as u64;
            let mut batch = Batch::new();
            keys.into_iter().for_each(|key| batch.remove(key));
            self.apply(batch).await?;
        }
        self.commit(Batch::new()).await?;
        Ok(removed)
    }

    /// The value of `key`. May read the disk.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read, or what was read is damaged. The store is [`Health::Failed`] then.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.trusted(self.shared.engine.get(key))
    }

    /// Up to `limit` pairs with a key in `range`, ascending. May read the disk.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        self.trusted(self.shared.engine.scan(range, limit))
    }

    /// Up to `limit` keys in `range`, ascending. May read the disk.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn keys(&self, range: Range<&[u8]>, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        self.trusted(self.shared.engine.keys(range, limit))
    }

    /// The last pair with a key in `range`. May read the disk.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.trusted(self.shared.engine.last(range))
    }

    /// All pairs with a key in `range`, as they are now; later writes do not change them.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`StoreError::TooLarge`] from an engine that must copy
    /// ([`Config::view_bytes_max`]).
    pub fn view(&self, range: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        self.trusted(self.shared.engine.view(range))
    }

    /// A store that read something wrong does not write any more.
    fn trusted<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        read.inspect_err(|error| {
            if error.is_loss_of_trust() {
                self.shared.fail(error);
            }
        })
    }

    /// Whether writes are acknowledged; the current value is always there.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        self.shared.statistics.clone()
    }

    /// The name of the engine, as in the configuration.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.shared.engine.name()
    }

    /// Watches the store without keeping it open.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe {
            health: self.health(),
            statistics: self.statistics(),
            disk: self.shared.disk.clone(),
            shared: Arc::downgrade(&self.shared),
            path: self.shared.engine.path().map(std::path::Path::to_owned),
        }
    }

    /// Whether a commit survives the loss of power, not only the death of the process.
    #[must_use]
    pub fn is_durable_against_power_loss(&self) -> bool {
        self.shared.engine.is_durable_against_power_loss()
    }

    /// Writes and syncs what waits, then accepts nothing more. Reads still work on other handles.
    pub async fn shutdown(self) {
        self.end().await;
    }

    async fn end(&self) {
        self.owner.close();
        if let Mode::Thread { ended } = &self.owner.mode {
            // An error means that the writer is gone, which is what we wait for.
            drop(ended.clone().changed().await);
        }
    }

    /// As [`shutdown`](Self::shutdown), then waits until every other handle is gone and the engine has released its
    /// files: the folder may be opened again. A [`View`] that somebody still holds may keep them longer.
    pub async fn release(self) {
        let mut alive = self.shared.alive.subscribe();
        self.shutdown().await;
        // Nothing is ever sent: the only news is that the engine is gone.
        drop(alive.changed().await);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("engine", &self.engine_name()).finish_non_exhaustive()
    }
}

impl Owner {
    fn close(&self) {
        self.shared.queue.close(StoreError::closed("it was shut down"));
        if let Mode::Inline(inline) = &self.mode {
            inline.finish();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Only keys that every engine can keep.
fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Key { what: "empty" });
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Err(StoreError::Key { what: "reserved" });
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "key", bytes: key.len(), bytes_max: KEY_BYTES_MAX });
    }
    Ok(())
}

/// Starts the writer's thread. The channel closes after it released its share of the engine.
fn start_thread(shared: &Arc<Shared>) -> Result<watch::Receiver<()>, StoreError> {
    let (ending, ended) = watch::channel(());
    let writer = Writer::new(shared.clone());
    let fuse = Fuse(shared.clone());
    let work = move || {
        writer.run();
        drop(fuse);
        drop(ending);
    };
    shared
        .environment
        .thread("store", work)
        .map_err(|error| StoreError::closed(&format!("no thread for the writer: {error}")))?;
    Ok(ended)
}

/// Fails the store when the writer's thread panics, so that nobody waits for a thread that is gone.
struct Fuse(Arc<Shared>);

impl Drop for Fuse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&StoreError::closed("its writer panicked"));
            // Dropping the requests tells their waiters.
            while self.0.queue.take(usize::MAX).is_some() {}
        }
    }
}

/// The first key that does not start with `prefix` any more, or one behind every key.
fn end_of_prefix(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    vec![u8::MAX; KEY_BYTES_MAX + 1].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_its_keys() {
        assert_eq!(end_of_prefix(b"ab"), b"ac"[..]);
        assert_eq!(end_of_prefix(b"a\xff\xff"), b"b"[..]);
        assert!(end_of_prefix(b"\xff") > b"\xff\xff\xff"[..]);
        assert!(end_of_prefix(b"") > b"\xff\xff\xff"[..]);
    }
}
