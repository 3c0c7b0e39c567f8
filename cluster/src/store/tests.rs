//! What the store promises above its engine.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::mpsc as unbounded};

use super::*;
use crate::environment::Environment;

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key.to_owned(), value.to_owned());
    batch
}

fn start(engine: Arc<dyn Engine>) -> Store {
    Store::start(engine, &Environment::simulated(1), Config::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_commit_survives_a_crash_and_an_apply_becomes_durable_with_the_next_commit() {
    let memory = Memory::new();
    let store = start(memory.clone());

    store.apply(put("a", "1")).await.unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), "1");
    assert_eq!(memory.crash(Crash::LoseUnsynced).get(b"a").unwrap(), None);

    store.commit(put("b", "2")).await.unwrap();
    store.apply(put("c", "3")).await.unwrap();
    let restarted = memory.crash(Crash::LoseUnsynced);
    assert_eq!(restarted.get(b"a").unwrap().unwrap(), "1");
    assert_eq!(restarted.get(b"b").unwrap().unwrap(), "2");
    assert_eq!(restarted.get(b"c").unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_empty_commit_makes_durable_what_was_applied() {
    let memory = Memory::new();
    let store = start(memory.clone());
    store.apply(put("a", "1")).await.unwrap();
    store.commit(Batch::new()).await.unwrap();
    assert_eq!(memory.crash(Crash::LoseUnsynced).get(b"a").unwrap().unwrap(), "1");
}

/// With a slow disk, all that is written during one sync shares the next, and nobody is woken before it.
#[tokio::test(start_paused = true)]
async fn commits_share_a_sync_on_the_simulated_clock() {
    let memory = Memory::new();
    memory.faults().set_latency(Duration::from_millis(5));
    let store = start(memory.clone());
    let started = tokio::time::Instant::now();

    let commits = (0..10).map(|n| store.commit(put(&format!("key {n}"), "")));
    let outcomes = futures_util::future::join_all(commits).await;

    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(started.elapsed(), Duration::from_millis(5));
    assert_eq!(store.statistics().syncs.load(Relaxed), 1);
    assert_eq!(store.statistics().commits.load(Relaxed), 10);
}

/// A callback may write again; the order of calls is the order in the engine.
#[tokio::test(start_paused = true)]
async fn callbacks_run_in_order_and_may_write_again() {
    let store = start(Memory::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    for n in 0..3 {
        let (store_again, seen) = (store.clone(), seen.clone());
        let done = move |outcome: Result<(), StoreError>| {
            outcome.unwrap();
            seen.lock().push(n);
            store_again.commit_then(put(&format!("again {n}"), ""), Box::new(|outcome| outcome.unwrap()));
        };
        store.commit_then(put("key", &n.to_string()), Box::new(done));
    }
    store.commit(Batch::new()).await.unwrap();
    assert_eq!(*seen.lock(), [0, 1, 2]);
    assert_eq!(store.get(b"key").unwrap().unwrap(), "2");
    assert!(store.get(b"again 2").unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn writes_wait_while_the_disk_is_full_and_continue_when_space_returns() {
    let memory = Memory::new();
    let store = start(memory.clone());
    let mut health = store.health();

    memory.faults().set_full(true);
    let waiting = tokio::join!(
        async { tokio::time::timeout(Duration::from_secs(5), store.commit(put("a", "1"))).await },
        async { health.wait_for(|health| matches!(health, Health::Full { .. })).await.unwrap().clone() },
    );
    assert!(waiting.0.is_err(), "acknowledged without space");
    assert_eq!(store.get(b"a").unwrap(), None);

    memory.faults().set_full(false);
    store.commit(put("b", "2")).await.unwrap();
    assert!(health.borrow_and_update().is_healthy());
    assert_eq!(store.get(b"a").unwrap().unwrap(), "1"); // It waited, and nothing was lost.
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_fails_everybody_for_good() {
    let memory = Memory::new();
    memory.faults().set_latency(Duration::from_millis(1));
    let store = start(memory.clone());
    memory.faults().fail_syncs();

    let (first, second) = tokio::join!(store.commit(put("a", "1")), store.commit(put("b", "2")));
    assert!(matches!(first, Err(StoreError::Sync { .. })));
    assert!(matches!(second, Err(StoreError::Sync { .. })));
    assert!(matches!(&*store.health().borrow(), Health::Failed(StoreError::Sync { .. })));
    assert!(store.apply(put("c", "3")).await.is_err(), "accepted after a failed sync");
    assert!(memory.crash(Crash::LoseUnsynced).scan(b""..b"z", 10).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_torn_batch_is_dropped_as_a_whole() {
    let memory = Memory::new();
    let store = start(memory.clone());
    store.commit(put("a", "1")).await.unwrap();
    let mut batch = put("b", "2");
    batch.append(put("c", "3"));
    store.apply(batch).await.unwrap();

    for kept_bytes in 0..memory.unsynced_bytes() {
        let found = memory.crash(Crash::Tear { kept_bytes }).scan(b""..b"z", 10).unwrap();
        assert_eq!(found.len(), 1, "{kept_bytes} bytes of the log survived");
    }
    assert_eq!(memory.crash(Crash::Process).scan(b""..b"z", 10).unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_and_changes_nothing() {
    let config = Config { batch_bytes_max: 10.try_into().unwrap(), ..Config::default() };
    let store = Store::start(Memory::new(), &Environment::simulated(1), config).unwrap();
    let refused = store.commit(put("key", "too much")).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "batch", bytes: 11, bytes_max: 10 })));
    let refused = store.commit(put(&"k".repeat(KEY_BYTES_MAX + 1), "")).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "key", .. })));
    assert!(matches!(store.commit(put("", "")).await, Err(StoreError::Key { what: "empty" })));
    let mut reserved = Batch::new();
    reserved.remove([RESERVED_PREFIX, b"key"].concat());
    assert!(matches!(store.apply(reserved).await, Err(StoreError::Key { what: "reserved" })));
    assert!(store.scan(b""..b"z", 10).unwrap().is_empty());
}

/// The queue is bounded: a caller waits for room behind a full disk, and gets it afterwards.
#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_callers_wait() {
    let memory = Memory::new();
    let config = Config { queue_bytes_max: 4.try_into().unwrap(), ..Config::default() };
    let store = Store::start(memory.clone(), &Environment::simulated(1), config).unwrap();
    memory.faults().set_full(true);
    for n in 0..3 {
        store.commit_then(put(&format!("key {n}"), ""), Box::new(|outcome| outcome.unwrap()));
    }
    assert_eq!(store.statistics().queue_bytes.load(Relaxed), 10); // The first is with the writer.
    let room = tokio::time::timeout(Duration::from_secs(1), store.room()).await;
    assert!(room.is_err(), "room in a full queue");

    memory.faults().set_full(false);
    store.room().await;
    assert_eq!(store.scan(b""..b"z", 10).unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn shutdown_makes_everything_durable_and_refuses_the_rest() {
    let memory = Memory::new();
    let store = start(memory.clone());
    let other = store.clone();
    store.apply(put("a", "1")).await.unwrap();
    store.shutdown().await;
    assert!(matches!(other.commit(put("b", "2")).await, Err(StoreError::Closed { .. })));
    let restarted = memory.crash(Crash::LoseUnsynced);
    assert!(restarted.get(b"a").unwrap().is_some());
    assert!(restarted.get(b"b").unwrap().is_none());
}

/// A node that was started again in the same process found its files in use: `shutdown` waited for the writer, not for
/// the tasks that still held the store.
#[tokio::test]
async fn a_folder_may_be_opened_again_when_its_store_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::real(Handle::current(), Handle::current());
    let open = || super::open(EngineKind::Fjall, folder.path(), &Config::default(), &environment);
    let store = open().unwrap();
    let held = store.clone();
    let releasing = store.release();
    tokio::pin!(releasing);
    assert!(futures_util::poll!(&mut releasing).is_pending());
    assert!(matches!(open(), Err(StoreError::InUse { .. })));
    drop(held);
    releasing.await;
    open().unwrap().release().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_space() {
    let memory = Memory::new();
    let store = start(memory.clone());
    memory.faults().set_full(true);
    let (waiting, other) = (store.clone(), store.clone());
    let (outcome, ()) = tokio::join!(waiting.commit(put("a", "1")), store.shutdown());
    assert!(matches!(outcome, Err(StoreError::Closed { .. })));
    assert!(other.health().borrow().is_healthy() || other.get(b"a").unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_prefix_is_removed_and_its_neighbours_stay() {
    let store = start(Memory::new());
    let mut batch = Batch::new();
    (0..3_000).for_each(|n| batch.put(format!("b{n}"), "x"));
    ["a", "az", "c"].into_iter().for_each(|key| batch.put(key, "x"));
    store.commit(batch).await.unwrap();
    assert_eq!(store.remove_prefix(b"b").await.unwrap(), 3_000);
    let left = store.keys(b""..b"z", 10).unwrap();
    assert_eq!(left, ["a", "az", "c"]);
}

/// An engine for a writer with a thread: each sync says that it began, and waits for a permission.
struct Gated {
    memory: Arc<Memory>,
    began: unbounded::UnboundedSender<()>,
    permissions: Mutex<mpsc::Receiver<()>>,
}

/// The other side of [`Gated`]. Without it syncs do not wait.
struct Gate {
    began: unbounded::UnboundedReceiver<()>,
    permissions: mpsc::Sender<()>,
}

impl Gated {
    fn new() -> (Arc<Self>, Gate) {
        let (permit, permissions) = mpsc::channel();
        let (begin, began) = unbounded::unbounded_channel();
        let engine = Self { memory: Memory::new(), began: begin, permissions: Mutex::new(permissions) };
        (Arc::new(engine), Gate { began, permissions: permit })
    }
}

impl Engine for Gated {
    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        assert!(batch.ops().iter().all(|op| op.key() != "poison"), "the engine has a bug");
        self.memory.write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.began.send(()).unwrap_or_default();
        self.permissions.lock().recv().unwrap_or_default();
        self.memory.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn scan(&self, _: Range<&[u8]>, _: usize) -> Result<Pairs, StoreError> {
        Err(StoreError::Corrupt { path: "table".into(), reason: "a checksum is wrong".to_owned() })
    }

    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.memory.last(range)
    }

    fn view(&self, range: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        self.memory.view(range)
    }

    fn name(&self) -> &'static str {
        "gated"
    }
}

/// What arrives during a sync is written together and synced once.
#[tokio::test]
async fn a_thread_commits_together_what_waits() {
    let (engine, mut gate) = Gated::new();
    let store = start(engine);
    let (sender, mut done) = unbounded::unbounded_channel();
    let commit = |n: usize| {
        let sender = sender.clone();
        let done = move |outcome| sender.send((n, outcome)).unwrap();
        store.commit_then(put(&format!("key {n}"), ""), Box::new(done));
    };
    commit(0);
    gate.began.recv().await.unwrap();
    (1..10).for_each(commit);
    assert!(done.try_recv().is_err(), "acknowledged before the sync");

    (0..2).for_each(|_| gate.permissions.send(()).unwrap());
    for expected in 0..10 {
        let (n, outcome) = done.recv().await.unwrap();
        outcome.unwrap();
        assert_eq!(n, expected);
    }
    assert_eq!(store.statistics().syncs.load(Relaxed), 2);
    assert_eq!(store.statistics().commits.load(Relaxed), 10);
}

#[tokio::test]
async fn a_panic_of_the_engine_fails_everybody() {
    let (engine, gate) = Gated::new();
    let store = start(engine);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    store.commit_then(put("poison", ""), Box::new(|outcome| sender.send(outcome).unwrap()));
    assert!(matches!(receiver.await.unwrap(), Err(StoreError::Closed { .. })));
    let mut health = store.health();
    health.wait_for(|health| matches!(health, Health::Failed(_))).await.unwrap();
    assert!(store.commit(put("later", "")).await.is_err());
    drop(gate);
    store.shutdown().await;
}

/// A store that reads damage does not write any more.
#[tokio::test]
async fn damage_that_is_read_fails_the_store() {
    let (engine, gate) = Gated::new();
    let store = start(engine);
    gate.permissions.send(()).unwrap();
    store.commit(put("key", "value")).await.unwrap();
    assert!(store.scan(b"a"..b"z", 1).is_err());
    assert!(matches!(&*store.health().borrow(), Health::Failed(StoreError::Corrupt { .. })));
    assert!(matches!(store.commit(put("key", "value")).await, Err(StoreError::Corrupt { .. })));
}

/// A disk that hangs says nothing. Who watches sees the call, and gives up for those whom the writer cannot tell.
#[tokio::test]
async fn who_waits_behind_a_sync_that_hangs_hears_when_it_is_given_up() {
    let (engine, mut gate) = Gated::new();
    let store = start(engine);
    let probe = store.probe();
    let (sender, mut done) = unbounded::unbounded_channel();
    let commit = |name: &'static str| {
        let sender = sender.clone();
        store.commit_then(put(name, ""), Box::new(move |outcome| sender.send((name, outcome)).unwrap()));
    };
    assert_eq!((probe.begun(DiskCall::Sync), probe.begun(DiskCall::Write)), (None, None));
    commit("taken");
    gate.began.recv().await.unwrap();
    assert!(probe.begun(DiskCall::Sync).is_some());
    assert_eq!(probe.begun(DiskCall::Write), None);

    commit("waiting");
    probe.give_up(DiskCall::Sync, Duration::from_secs(5));
    let (who, outcome) = done.recv().await.unwrap();
    assert_eq!(who, "waiting");
    assert!(matches!(outcome, Err(StoreError::Hangs { call: DiskCall::Sync, seconds: 5 })), "{outcome:?}");
    assert!(matches!(&*store.health().borrow(), Health::Failed(StoreError::Hangs { .. })));
    assert!(store.commit(put("later", "")).await.is_err(), "accepted after it was given up");

    // The call returns after all: what it made durable is durable.
    gate.permissions.send(()).unwrap();
    assert!(matches!(done.recv().await.unwrap(), ("taken", Ok(()))));
    store.shutdown().await;
    assert_eq!(probe.begun(DiskCall::Sync), None);
}

/// An engine that is behind until it is told otherwise: each look says that it began, and waits for the answer.
struct Busy {
    inner: Arc<Gated>,
    began: unbounded::UnboundedSender<()>,
    answers: Mutex<mpsc::Receiver<bool>>,
}

impl Engine for Busy {
    fn is_behind(&self) -> Result<bool, StoreError> {
        self.began.send(()).unwrap_or_default();
        Ok(self.answers.lock().recv().unwrap_or_default())
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.inner.write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, range: Range<&[u8]>, limit: usize) -> Result<Pairs, StoreError> {
        self.inner.scan(range, limit)
    }

    fn last(&self, range: Range<&[u8]>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.inner.last(range)
    }

    fn view(&self, range: Range<&[u8]>) -> Result<Arc<dyn View>, StoreError> {
        self.inner.view(range)
    }

    fn name(&self) -> &'static str {
        "busy"
    }
}

/// The node of an engine that was behind for half a minute was killed although its disk was well: all of it was one write.
#[tokio::test]
async fn an_engine_that_is_behind_does_not_hang_and_a_disk_that_hangs_meanwhile_is_seen() {
    let (inner, mut gate) = Gated::new();
    let (answer, answers) = mpsc::channel();
    let (begin, mut looks) = unbounded::unbounded_channel();
    let store = start(Arc::new(Busy { inner, began: begin, answers: Mutex::new(answers) }));
    let probe = store.probe();
    let (sender, done) = tokio::sync::oneshot::channel();
    store.commit_then(put("key", "value"), Box::new(|outcome| sender.send(outcome).unwrap()));

    let mut last = None;
    let mut looked = 0;
    loop {
        tokio::select! {
            biased;
            Some(()) = gate.began.recv() => break,
            Some(()) = looks.recv() => {
                let begun = probe.begun(DiskCall::Write);
                assert!(begun > last, "a look is a call of its own");
                last = begun;
                looked += 1;
                answer.send(true).unwrap();
            }
        }
    }
    assert!(looked > 1, "it looked once and synced");
    assert_eq!(probe.begun(DiskCall::Write), None);
    assert!(probe.begun(DiskCall::Sync).is_some(), "a disk that hangs is seen although nothing is written");
    assert_eq!(store.get(b"key").unwrap(), None);

    (0..2).for_each(|_| gate.permissions.send(()).unwrap());
    answer.send(false).unwrap();
    done.await.unwrap().unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), "value");
    drop((answer, gate));
    store.shutdown().await;
}
