//! One suite for every engine: what [`Engine`] promises, and a comparison with a plain map over random histories.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// An engine that can be closed and opened again.
trait Subject {
    fn engine(&self) -> Arc<dyn Engine>;
    /// Closes it properly and opens what is left.
    fn reopen(&mut self);
}

struct OnDisk<O> {
    folder: tempfile::TempDir,
    open: O,
    engine: Option<Arc<dyn Engine>>,
}

impl<O: Fn(&Path) -> Arc<dyn Engine>> OnDisk<O> {
    fn new(open: O) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Some(open(folder.path()));
        Self { folder, open, engine }
    }
}

impl<O: Fn(&Path) -> Arc<dyn Engine>> Subject for OnDisk<O> {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().unwrap()
    }

    fn reopen(&mut self) {
        self.engine.take().unwrap().sync().unwrap();
        self.engine = Some((self.open)(self.folder.path()));
    }
}

struct InMemory(Arc<Memory>);

impl Subject for InMemory {
    fn engine(&self) -> Arc<dyn Engine> {
        self.0.clone()
    }

    fn reopen(&mut self) {
        self.0 = self.0.crash(Crash::Process);
    }
}

fn fjall() -> impl Subject {
    OnDisk::new(|folder| Fjall::open(folder, &Config::default()).unwrap())
}

fn sled() -> impl Subject {
    OnDisk::new(|folder| Sled::open(folder, &Config::default()).unwrap())
}

fn memory() -> impl Subject {
    InMemory(Memory::new())
}

fn batch(ops: impl IntoIterator<Item = Op>) -> Batch {
    let mut batch = Batch::new();
    ops.into_iter().for_each(|op| batch.push(op));
    batch
}

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Put(key.into(), value.into())
}

fn remove(key: &'static str) -> Op {
    Op::Remove(key.into())
}

/// Everything an engine promises, in one story per promise.
fn conforms(mut subject: impl Subject) {
    keeps_what_is_put(&*subject.engine());
    takes_the_last_change_of_a_key(&*subject.engine());
    scans_half_open_ranges_in_order(&*subject.engine());
    keeps_a_view_as_it_was(&*subject.engine());
    shows_batches_as_a_whole(&subject.engine());
    survives_a_restart(&mut subject);
}

fn keeps_what_is_put(engine: &dyn Engine) {
    let longest = vec![b'k'; KEY_BYTES_MAX];
    let large = vec![7; 1 << 20];
    let keys: [&[u8]; 4] = [b"\0", b"plain", &longest, &[0xff; 7]];
    engine.write(&batch(keys.map(|key| put(key.to_vec(), large.clone())))).unwrap();
    engine.write(&batch([put("no value", "")])).unwrap();
    for key in keys {
        assert_eq!(engine.get(key).unwrap().unwrap(), large);
    }
    assert_eq!(engine.get(b"no value").unwrap().unwrap(), "");
    assert_eq!(engine.get(b"absent").unwrap(), None);
    engine.write(&batch(keys.map(|key| Op::Remove(key.to_vec().into())))).unwrap();
    engine.write(&batch([remove("no value"), remove("never there")])).unwrap();
    engine.write(&Batch::new()).unwrap();
    assert!(engine.scan(b""..&[0xff; 9], 10).unwrap().is_empty());
}

fn takes_the_last_change_of_a_key(engine: &dyn Engine) {
    engine.write(&batch([put("a", "1"), put("b", "1"), remove("a"), put("b", "2")])).unwrap();
    engine.write(&batch([put("c", "1"), remove("c"), put("c", "2"), put("a", "1"), remove("a")])).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(engine.get(b"b").unwrap().unwrap(), "2");
    assert_eq!(engine.get(b"c").unwrap().unwrap(), "2");
    engine.write(&batch([remove("b"), remove("c")])).unwrap();
}

fn scans_half_open_ranges_in_order(engine: &dyn Engine) {
    engine.write(&batch(["b", "d", "a", "c", "aa"].map(|key| put(key, key)))).unwrap();
    let found = |range: Range<&'static [u8]>, limit| {
        let pairs = engine.scan(range.clone(), limit).unwrap();
        assert_eq!(engine.keys(range, limit).unwrap(), pairs.iter().map(|pair| &pair.0).collect::<Vec<_>>());
        pairs.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(b"a"..b"c", 10), ["a", "aa", "b"]);
    assert_eq!(found(b"a"..b"z", 2), ["a", "aa"]);
    assert!(found(b"c"..b"c", 10).is_empty());
    assert!(found(b"c"..b"a", 10).is_empty());
    assert!(found(b"a"..b"z", 0).is_empty());
    let last = |range: Range<&'static [u8]>| engine.last(range).unwrap().map(|(key, _)| key);
    assert_eq!(last(b"a"..b"c").unwrap(), "b");
    assert_eq!(last(b""..&[0xff; 20]).unwrap(), "d"); // And not what an engine notes for itself.
    assert_eq!(last(b"x"..b"z"), None);
    assert_eq!(last(b"z"..b"a"), None);
}

fn keeps_a_view_as_it_was(engine: &dyn Engine) {
    let view = engine.view(b"a"..b"z").unwrap();
    engine.write(&batch([remove("a"), put("b", "new"), put("e", "new")])).unwrap();
    assert_eq!(view.get(b"a").unwrap().unwrap(), "a");
    assert_eq!(view.get(b"b").unwrap().unwrap(), "b");
    assert_eq!(view.get(b"e").unwrap(), None);
    assert_eq!(view.scan(b"a"..b"z", 10).unwrap().len(), 5);
    assert_eq!(view.scan(b"a"..b"z", 1).unwrap().len(), 1);
    assert_eq!(engine.get(b"b").unwrap().unwrap(), "new");
}

/// A reader beside the writer sees both keys of each batch or none.
fn shows_batches_as_a_whole(engine: &Arc<dyn Engine>) {
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..500u32 {
                let value = Bytes::copy_from_slice(&n.to_be_bytes());
                engine.write(&batch([put("x1", value.clone()), put("x2", value)])).unwrap();
            }
        });
        while !writer.is_finished() {
            let pairs = engine.scan(b"x"..b"y", 10).unwrap();
            let view = engine.view(b"x"..b"y").unwrap();
            for pairs in [pairs, view.scan(b"x"..b"y", 10).unwrap()] {
                let values: Vec<_> = pairs.into_iter().map(|(_, value)| value).collect();
                assert!(values.is_empty() || values.len() == 2 && values[0] == values[1], "{values:?}");
            }
        }
    });
}

fn survives_a_restart(subject: &mut impl Subject) {
    let before = subject.engine().scan(b""..&[0xff; 9], usize::MAX).unwrap();
    assert!(!before.is_empty());
    subject.reopen();
    assert_eq!(subject.engine().scan(b""..&[0xff; 9], usize::MAX).unwrap(), before);
    subject.engine().write(&batch([remove("x1"), put("after", "1")])).unwrap();
    subject.reopen();
    assert_eq!(subject.engine().get(b"x1").unwrap(), None);
    assert_eq!(subject.engine().get(b"after").unwrap().unwrap(), "1");
}

#[test]
fn memory_conforms() {
    conforms(memory());
}

#[test]
fn fjall_conforms() {
    conforms(fjall());
}

#[test]
fn sled_conforms() {
    conforms(sled());
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Action {
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Sync,
    Read(Vec<u8>, Vec<u8>, usize),
    /// Takes a view; the earlier one is compared with what it was, and dropped.
    View,
    Reopen,
}

fn key(bytes_min: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), bytes_min..4)
}

fn action() -> impl Strategy<Value = Action> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..20));
    prop_oneof![
        8 => prop::collection::vec((key(1), value), 0..6).prop_map(Action::Write),
        2 => Just(Action::Sync),
        6 => (key(0), key(0), 0..8usize).prop_map(|(from, to, limit)| Action::Read(from, to, limit)),
        2 => Just(Action::View),
        1 => Just(Action::Reopen),
    ]
}

type Model = BTreeMap<Bytes, Bytes>;

fn op((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> Op {
    let key = Bytes::copy_from_slice(key);
    value.as_deref().map_or(Op::Remove(key.clone()), |value| Op::Put(key, Bytes::copy_from_slice(value)))
}

fn apply(model: &mut Model, batch: &Batch) {
    for op in batch.ops() {
        match op {
            Op::Put(key, value) => drop(model.insert(key.clone(), value.clone())),
            Op::Remove(key) => drop(model.remove(key)),
        }
    }
}

fn expected(model: &Model, from: &[u8], to: &[u8]) -> Pairs {
    let bounds = (Bound::Included(from), Bound::Excluded(to.max(from)));
    model.range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), value.clone())).collect()
}

const EVERYTHING: Range<&[u8]> = b""..&[0xff; 7];

/// Whatever is done, the engine answers as a map would.
fn answers_like_a_map(mut subject: impl Subject, actions: &[Action]) {
    let mut model = Model::new();
    let mut view = (subject.engine().view(EVERYTHING).unwrap(), model.clone());
    for action in actions {
        match action {
            Action::Write(changes) => {
                let batch = batch(changes.iter().map(op));
                subject.engine().write(&batch).unwrap();
                apply(&mut model, &batch);
            }
            Action::Sync => subject.engine().sync().unwrap(),
            Action::Read(from, to, limit) => compare(&*subject.engine(), &model, from, to, *limit),
            Action::View => {
                let earlier = std::mem::replace(&mut view.0, subject.engine().view(EVERYTHING).unwrap());
                let expected = expected(&std::mem::replace(&mut view.1, model.clone()), b"", EVERYTHING.end);
                assert_eq!(earlier.scan(EVERYTHING, usize::MAX).unwrap(), expected);
            }
            Action::Reopen => {
                view.0 = Memory::new().view(EVERYTHING).unwrap(); // A view would keep the files open.
                subject.reopen();
                view = (subject.engine().view(EVERYTHING).unwrap(), model.clone());
            }
        }
    }
    compare(&*subject.engine(), &model, b"", EVERYTHING.end, usize::MAX);
}

fn compare(engine: &dyn Engine, model: &Model, from: &[u8], to: &[u8], limit: usize) {
    let mut expected = expected(model, from, to);
    assert_eq!(engine.last(from..to).unwrap(), expected.last().cloned());
    expected.truncate(limit);
    assert_eq!(engine.scan(from..to, limit).unwrap(), expected);
    assert_eq!(engine.get(from).unwrap().as_ref(), model.get(from));
}

/// After a crash the engine holds what a map held after some batch that is not older than the last sync.
fn loses_only_what_was_not_synced(actions: &[Action], crash: Crash) {
    let memory = Memory::new();
    let (mut model, mut possible) = (Model::new(), vec![Model::new()]);
    for action in actions {
        match action {
            Action::Write(changes) => {
                let batch = batch(changes.iter().map(op));
                memory.write(&batch).unwrap();
                apply(&mut model, &batch);
                possible.push(model.clone());
            }
            Action::Sync => {
                memory.sync().unwrap();
                possible = vec![model.clone()];
            }
            Action::Read(..) | Action::View | Action::Reopen => (),
        }
    }
    let found: Model = memory.crash(crash).scan(EVERYTHING, usize::MAX).unwrap().into_iter().collect();
    assert!(possible.contains(&found), "{found:?} is none of {possible:?}");
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn memory_answers_like_a_map(actions in prop::collection::vec(action(), 0..60)) {
        answers_like_a_map(memory(), &actions);
    }

    #[test]
    fn a_crash_of_memory_loses_only_what_was_not_synced(
        actions in prop::collection::vec(action(), 0..40),
        kept_bytes in prop::option::of(0..400usize),
    ) {
        let crash = kept_bytes.map_or(Crash::LoseUnsynced, |kept_bytes| Crash::Tear { kept_bytes });
        loses_only_what_was_not_synced(&actions, crash);
    }
}

proptest! {
    // Each case opens files and syncs them.
    #![proptest_config(cases(24))]

    #[test]
    fn fjall_answers_like_a_map(actions in prop::collection::vec(action(), 0..60)) {
        answers_like_a_map(fjall(), &actions);
    }

    #[test]
    fn sled_answers_like_a_map(actions in prop::collection::vec(action(), 0..60)) {
        answers_like_a_map(sled(), &actions);
    }
}
