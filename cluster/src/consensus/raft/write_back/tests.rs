//! Whatever was flushed, and whatever was interrupted: readers see what was applied.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{
    consensus::{GroupId, raft::log::tests::log_id},
    environment::Environment,
    store::{Config, Memory},
};

fn write_back() -> WriteBack {
    write_back_on(Memory::new())
}

fn write_back_on(memory: Arc<Memory>) -> WriteBack {
    let store = Store::start(memory, &Environment::simulated(1), Config::default()).unwrap();
    WriteBack::new(store, Keys::new(GroupId(1)), Applied::default())
}

/// One step: changes are applied, or written, or the writing is interrupted before the store was asked.
#[derive(Clone, Debug)]
enum Step {
    Take(Vec<Op>),
    Flush,
    Interrupted,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || proptest::collection::vec(0..3u8, 0..3).prop_map(Bytes::from);
    let value = any::<u8>().prop_map(|value| Bytes::from(vec![value]));
    let op = prop_oneof![
        2 => (key(), value).prop_map(|(key, value)| Op::Put(key, value)),
        1 => key().prop_map(Op::Remove),
    ];
    prop_oneof![
        4 => proptest::collection::vec(op, 0..4).prop_map(Step::Take),
        1 => Just(Step::Flush),
        1 => Just(Step::Interrupted),
    ]
}

/// Takes one step, here and in a model.
async fn go(write_back: &WriteBack, model: &mut BTreeMap<Bytes, Bytes>, index: u64, step: Step) {
    match step {
        Step::Take(changes) => {
            for op in changes.clone() {
                match op {
                    Op::Put(key, value) => drop(model.insert(key, value)),
                    Op::Remove(key) => drop(model.remove(&key)),
                }
            }
            write_back.take(changes, (Some(log_id(index)), Sequence::default()), None);
        }
        Step::Flush => write_back.flush().await.unwrap(),
        Step::Interrupted => drop(write_back.layers.lock().leave(write_back.keys)),
    }
}

fn check(write_back: &WriteBack, model: &BTreeMap<Bytes, Bytes>) {
    let all: Pairs = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let frozen = write_back.freeze().unwrap();
    for limit in [1, 2, 99] {
        let some: Pairs = all.iter().take(limit).cloned().collect();
        assert_eq!(write_back.scan(b"", b"\xff", limit).unwrap(), some);
        assert_eq!(frozen.read(None, limit, usize::MAX).unwrap(), some);
    }
    for first in 0..3 {
        let (from, to) = (Bytes::from(vec![first]), Bytes::from(vec![first + 1]));
        let some = model.range(from.clone()..to.clone());
        let some: Pairs = some.map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(write_back.scan(&from, &to, 99).unwrap(), some);
        assert_eq!(write_back.get(&from).unwrap().as_ref(), model.get(&from));
        let behind: Pairs = all.iter().filter(|(key, _)| *key > from).cloned().collect();
        assert_eq!(frozen.read(Some(&from), 99, usize::MAX).unwrap(), behind);
    }
}

proptest! {
    #[test]
    fn readers_see_what_was_applied(steps in proptest::collection::vec(step(), 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (write_back, mut model) = (write_back(), BTreeMap::new());
            for (index, step) in (0..).zip(steps) {
                go(&write_back, &mut model, index, step).await;
                check(&write_back, &model);
            }
            // What the store has by itself after the last flush is all of it, with its position.
            write_back.flush().await.unwrap();
            let position = write_back.applied();
            let again = WriteBack::new(write_back.store.clone(), write_back.keys, position.clone());
            check(&again, &model);
            let stored = Applied::read(&write_back.store, GroupId(1)).unwrap();
            assert_eq!(stored, position);
        });
    }
}

fn put(key: &'static str, bytes: usize) -> Vec<Op> {
    vec![Op::Put(key.into(), vec![0; bytes].into())]
}

#[tokio::test(start_paused = true)]
async fn a_key_is_written_once_for_many_entries() {
    let write_back = write_back();
    let written = || write_back.store.statistics().bytes_written.load(std::sync::atomic::Ordering::Relaxed);
    for index in 0..10 {
        write_back.take(put("key", 1_000), (Some(log_id(index)), Sequence::default()), None);
    }
    assert_eq!(written(), 0);
    write_back.flush().await.unwrap();
    assert!((1_000..1_200).contains(&written()), "{}", written());
    write_back.flush().await.unwrap();
    assert!(written() < 1_200, "there was nothing more to write");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_in_bytes() {
    let write_back = write_back();
    let position = || (Some(log_id(0)), Sequence::default());
    assert!(!write_back.take(put("a", WAITING_BYTES_MAX / 2), position(), None));
    assert!(write_back.take(put("a", WAITING_BYTES_MAX / 2), position(), None));
    write_back.flush().await.unwrap();
    assert!(!write_back.take(put("a", WAITING_BYTES_MAX / 2), position(), None));
}

/// What waits is written after a while, also when nothing comes behind it; and at the end at once.
#[tokio::test(start_paused = true)]
async fn what_waits_is_written_in_time_and_at_the_end() {
    let write_back = Arc::new(write_back());
    let (alive, mut news) = watch::channel(0);
    let environment = Environment::simulated(1);
    environment.spawn(Arc::clone(&write_back).run(alive));
    let stored = |key| write_back.store.get(&write_back.keys.state_key(0, key)).unwrap().is_some();
    let position = || (Some(log_id(0)), Sequence::default());
    write_back.take(put("first", 1), position(), None);
    tokio::time::sleep(WAITING_MAX / 2).await;
    assert!(!stored(b"first"));
    tokio::time::sleep(WAITING_MAX).await;
    assert!(stored(b"first"));
    write_back.take(put("second", 1), position(), None);
    tokio::task::yield_now().await;
    write_back.end();
    news.wait_for(|_| false).await.unwrap_err();
    assert!(stored(b"second"));
    assert!(news.changed().now_or_never().unwrap().is_err());
}

/// A node that leaves with many groups would wait for each; the log has what they do not write.
#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_does_not_wait_for_space() {
    let memory = Memory::new();
    let faults = memory.clone();
    let write_back = Arc::new(write_back_on(memory));
    let (alive, mut news) = watch::channel(0);
    Environment::simulated(1).spawn(Arc::clone(&write_back).run(alive));
    faults.faults().set_full(true);
    write_back.take(put("key", 1), (Some(log_id(0)), Sequence::default()), None);
    let waits = tokio::time::timeout(Duration::from_secs(60), write_back.flush()).await;
    assert!(waits.is_err(), "until the end, it waits for space");
    write_back.stop();
    news.wait_for(|_| false).await.unwrap_err();
    let refused = write_back.flush().await.unwrap_err();
    assert!(refused.to_string().contains("the volume is full"), "{refused}");
    assert_eq!(write_back.get(b"key").unwrap().map(|value| value.len()), Some(1));
}

/// A snapshot that was installed takes the place of all that waited.
#[tokio::test(start_paused = true)]
async fn what_waits_goes_with_its_generation() {
    let write_back = write_back();
    write_back.take(put("old", 1), (Some(log_id(0)), Sequence::default()), None);
    drop(write_back.layers.lock().leave(write_back.keys));
    write_back.take(put("older", 1), (Some(log_id(1)), Sequence::default()), None);
    let mut batch = Batch::new();
    batch.put(write_back.keys.state_key(1, b"new"), "value");
    write_back.store.apply(batch).await.unwrap();
    let applied = Applied { last: Some(log_id(9)), generation: 1, ..Applied::default() };
    write_back.replace(applied.clone()).await.unwrap();
    write_back.flush().await.unwrap();
    assert_eq!(write_back.scan(b"", b"\xff", 9).unwrap(), [("new".into(), "value".into())]);
    assert_eq!(Applied::read(&write_back.store, GroupId(1)).unwrap(), applied);
}
