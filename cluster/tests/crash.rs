//! Nothing acknowledged is lost, and nothing is torn, when the process is killed.
//!
//! A child process appends batches and reports each acknowledged one through a pipe; this process kills it with
//! SIGKILL at random moments, also while it recovers, and looks at what is left. The same folder is used again and
//! again, so later crashes hit stores that already recovered from many.
//!
//! Batches are numbered in the order in which they are handed to the store, by many writers at once. Batch `n` puts
//! `n` under `head`, some parts under keys of its own, and removes the parts of batch `n - WINDOW`. So what is left
//! must be exactly the parts of the last `WINDOW` batches up to `head`, and `head` is at least what was acknowledged.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // The whole file is a test.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use playhouse_cluster::{
    environment::Environment,
    store::{self, Batch, EngineKind, Store},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::oneshot;

/// How many times each engine is killed while it writes.
const KILLS_WHILE_WRITING: usize = 50;

/// How many times it is killed at most, counting those before it wrote anything.
const KILLS_MAX: usize = 200;

/// The child is killed at a moment drawn evenly from this time after it was started.
const KILL_WITHIN: Duration = Duration::from_millis(450);

/// How many batches wait for the store at once.
const WRITERS: usize = 16;

/// How many batches are kept.
const WINDOW: u64 = 200;

/// Set for the child: engine, then folder.
const ROLE: &str = "PLAYHOUSE_CRASH_SUITE_APPEND";

#[test]
fn fjall_loses_nothing_when_it_is_killed() {
    survives_being_killed(EngineKind::Fjall);
}

#[test]
fn sled_loses_nothing_when_it_is_killed() {
    survives_being_killed(EngineKind::Sled);
}

/// One engine at a time: a child that is being started holds the files of all engines for a moment, also those
/// that the other test has just closed.
static ALONE: Mutex<()> = Mutex::new(());

fn survives_being_killed(kind: EngineKind) {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut random = SmallRng::from_os_rng();
    let (mut acknowledged, mut kills, mut kills_while_writing) = (0, 0, 0);
    while kills_while_writing < KILLS_WHILE_WRITING {
        let reported =
            run_until_killed(kind, folder.path(), random.random_range(Duration::ZERO..KILL_WITHIN));
        kills += 1;
        kills_while_writing += usize::from(!reported.is_empty());
        acknowledged = reported.into_iter().max().unwrap_or(0).max(acknowledged);
        // Without a look the next child recovers from the crash itself, and may be killed while it does.
        if kills_while_writing == KILLS_WHILE_WRITING || random.random_ratio(2, 3) {
            let head = check(kind, folder.path(), acknowledged);
            assert!(head >= acknowledged, "kill {kills}: {acknowledged} was acknowledged, {head} is there");
        }
        assert!(kills < KILLS_MAX, "the child is killed before it writes; widen KILL_WITHIN");
    }
    println!("{}: {kills} kills, {kills_while_writing} while writing, {acknowledged} batches", kind.name());
}

/// Starts a child and kills it after `delay`. Returns what it reported as acknowledged.
fn run_until_killed(kind: EngineKind, folder: &Path, delay: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "append_until_killed", "--nocapture"])
        .env(ROLE, format!("{} {}", kind.name(), folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let reports = BufReader::new(child.stdout.take().unwrap());
    let killer = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_after(child, delay));
        // The pipe ends with the child. The last line may be cut, and libtest says something of its own.
        let numbers = reports.lines().map_while(Result::ok).filter_map(|line| whole_report(&line)).collect();
        let status = killer.join().unwrap();
        (status, numbers)
    });
    let (status, numbers) = killer;
    assert!(status.code().is_none(), "the child ended by itself: {status}");
    numbers
}

fn kill_after(mut child: Child, delay: Duration) -> std::process::ExitStatus {
    std::thread::sleep(delay); // The moment of the crash.
    child.kill().unwrap();
    child.wait().unwrap()
}

fn whole_report(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.strip_suffix('.')?.parse().ok()
}

/// Checks that what is left is a prefix of what was written, whole. Returns how long it is.
fn check(kind: EngineKind, folder: &Path, acknowledged: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = open(kind, folder, tokio::runtime::Handle::current());
        let head = head(&store);
        let found: BTreeMap<_, _> = store.scan(b"part/"..b"part0", usize::MAX).unwrap().into_iter().collect();
        let expected = (1.max(head.saturating_sub(WINDOW - 1))..=head).flat_map(parts).collect();
        assert_same(&found, &expected, head, acknowledged);
        store.shutdown().await;
        head
    })
}

fn assert_same(
    found: &BTreeMap<Bytes, Bytes>,
    expected: &BTreeMap<Bytes, Bytes>,
    head: u64,
    acknowledged: u64,
) {
    let text = |key: &Bytes| String::from_utf8_lossy(key).into_owned();
    let missing =
        expected.iter().find(|(key, value)| found.get(*key) != Some(value)).map(|(key, _)| text(key));
    let extra = found.keys().find(|key| !expected.contains_key(*key)).map(text);
    assert_eq!((missing, extra), (None, None), "head {head}, acknowledged {acknowledged}");
}

/// What batch `n` puts: 1 to 5 parts of different sizes.
fn parts(n: u64) -> impl Iterator<Item = (Bytes, Bytes)> {
    (0..1 + n % 5).map(move |part| {
        let length = ((n * 31 + part * 977) % 700) as usize;
        let value = format!("{n} {part} ").repeat(length / 4 + 1);
        (format!("part/{n:012}/{part}").into(), value.into())
    })
}

fn batch(n: u64) -> Batch {
    let mut batch = Batch::new();
    parts(n).for_each(|(key, value)| batch.put(key, value));
    if let Some(old) = n.checked_sub(WINDOW) {
        parts(old).for_each(|(key, _)| batch.remove(key));
    }
    batch.put("head", n.to_string());
    batch
}

fn head(store: &Store) -> u64 {
    let head = store.get(b"head").unwrap();
    head.map_or(0, |head| String::from_utf8_lossy(&head).parse().unwrap())
}

/// With small buffers, so that files are rotated and merged all the time.
fn open(kind: EngineKind, folder: &Path, runtime: tokio::runtime::Handle) -> Store {
    let config = store::Config { write_buffer_bytes: 1 << 20, cache_bytes: 4 << 20, ..Default::default() };
    let environment = Environment::real(runtime.clone(), runtime);
    store::open(kind, folder, &config, &environment).unwrap()
}

/// The child. Does nothing when it is run as a test.
#[test]
fn append_until_killed() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (kind, folder) = role.split_once(' ').unwrap();
    let (kind, folder) = (EngineKind::named(kind).unwrap(), PathBuf::from(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let store = open(kind, &folder, runtime.handle().clone());
    let next = Arc::new(Mutex::new(head(&store) + 1));
    runtime.block_on(async {
        let writers = (0..WRITERS).map(|_| append(store.clone(), next.clone()));
        futures_util::future::join_all(writers).await;
    });
}

async fn append(store: Store, next: Arc<Mutex<u64>>) {
    loop {
        let (n, acknowledged) = append_next(&store, &next);
        acknowledged.await.unwrap();
        let report = format!("acknowledged {n}.\n");
        std::io::stdout().lock().write_all(report.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

/// Numbers are handed out in the order of the calls.
fn append_next(store: &Store, next: &Mutex<u64>) -> (u64, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    let mut next = next.lock().unwrap();
    let n = *next;
    *next += 1;
    let done = move |outcome: Result<(), store::StoreError>| {
        outcome.unwrap();
        sender.send(()).unwrap_or_default(); // Nobody listens any more: the writer was dropped.
    };
    store.commit_then(batch(n), Box::new(done));
    (n, receiver)
}
