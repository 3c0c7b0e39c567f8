//! More entities on one node, of which at most a million are in memory. The state of each is one number of 8 bytes.
//!
//! What was freed may stay with the process, so each number of entities is measured by a process of its own.

use std::{
    fs::{self, DirEntry},
    io::Write,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command as Process, Stdio},
    time::Duration,
};

use hdrhistogram::Histogram;
use playhouse::{
    entity::Entity,
    kinds::{Counter, counter::Command},
    node::Settings,
    protocol::{Key, KindName, ListQuery},
    router::EntityRef,
};
use playhouse_cluster::store::EngineKind;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    super::{
        key,
        remote_call::{histogram, record},
        volume,
    },
    Point,
};
use crate::{
    Effort, Figures, RUNS_MIN, Unit,
    child::{leave_with_parent, own_program},
    node::{TestNode, environment, runtime, settings},
    processes::obedient::Obedient,
};

const AXIS: &str = "entities";
const ENTITIES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const QUICK_ENTITIES: [usize; 2] = [1_000, 10_000];
/// How many may be in memory, as far as the bound of a node can say it: it counts bytes.
const RESIDENT_MAX: usize = 1_000_000;
/// Of so many it is found out how many bytes one counts.
const PROBED: usize = 1_000;
/// They create entities.
const CREATORS: usize = 1_024;
const CALLERS: usize = 64;
/// Calls of all of them.
const CALLS: usize = 300_000;
/// How many entities are called: few enough to be in memory.
const CALLED_MAX: usize = 300_000;
/// How many are woken after each start, one after the other, and by callers at once.
const WOKEN_ALONE: usize = 3_000;
const WOKEN_AT_ONCE: usize = 30_000;
/// How many pages are listed, and how long one is.
const PAGES: usize = 50;
const PAGE: usize = 100;
/// What is counted is up to a second old, and nothing tells how old: how many of the entities the bound leaves awake is not known.
const COUNTED_AFTER: Duration = Duration::from_millis(1_500);
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// The first argument of a child process that measures.
pub const CHILD: &str = "--entities-child";
const OVER: &str = "over";
const QUICK: &str = "quick";

/// What a child says: one line for each figure.
#[derive(Serialize, Deserialize)]
struct Said {
    work: String,
    unit: Unit,
    value: f64,
}

pub(in crate::rows) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    for entities in if effort.is_quick { &QUICK_ENTITIES[..] } else { &ENTITIES } {
        let mut point = Point { figures, axis: AXIS, x: *entities as f64 };
        let mut command = Process::new(own_program());
        command.args([CHILD, &entities.to_string()]).args(effort.is_quick.then_some(QUICK));
        let mut child = Obedient::start(command.stderr(Stdio::inherit()));
        loop {
            let line = child.hear("the entities of a node");
            if line == OVER {
                break;
            }
            let said: Said = serde_json::from_str(&line).expect("the child says figures");
            point.ours(&said.work, said.unit, said.value);
        }
    }
}

/// Measures in this process, which should do nothing else, and prints what it finds: of how many entities is the first of
/// `arguments`.
///
/// # Panics
///
/// When it is no number, or a run has an error.
#[allow(clippy::print_stdout)] // The parent reads it.
pub fn measure_here(arguments: &[String]) {
    let runtime = runtime();
    leave_with_parent(&environment(runtime.handle()));
    let count = arguments.first().and_then(|text| text.parse().ok()).expect("how many entities");
    let is_quick = arguments.get(1).is_some_and(|text| text == QUICK);
    let effort = if is_quick { Effort::QUICK } else { Effort::FULL };
    measure(count, effort);
    println!("{OVER}");
}

#[allow(clippy::print_stdout)] // As above.
fn say(work: impl Into<String>, unit: Unit, value: f64) {
    let said = Said { work: work.into(), unit, value };
    println!("{}", serde_json::to_string(&said).expect("it is plain data"));
    std::io::stdout().flush().expect("the parent reads it");
}

fn measure(count: usize, effort: Effort) {
    let volume = volume(&std::env::temp_dir());
    let mut settings = settings(volume.path(), EngineKind::Fjall);
    // Only the bound puts entities to sleep.
    settings.shard.passivate_after = Duration::from_secs(3_600);
    settings.resident_bytes_max = bytes_of_one() * RESIDENT_MAX;
    let node = TestNode::start(&settings);
    create_all(&node, count);
    for _ in 0..RUNS_MIN {
        awake(&node, count, effort);
    }
    node.stop();
    for run in 0..RUNS_MIN {
        restarted(&settings, count, run, effort);
    }
}

/// As the bound of a node counts it.
fn bytes_of_one() -> usize {
    let volume = volume(&std::env::temp_dir());
    let node = TestNode::start(&settings(volume.path(), EngineKind::Memory));
    create(&node, 0..PROBED);
    node.wait_until_counted("new entities are counted", |metrics| {
        metrics.resident.with_label_values(&[Counter::KIND]).get() == PROBED as i64
    });
    let bytes = usize::try_from(node.metrics().resident_bytes.get()).expect("it is not negative");
    node.stop();
    bytes.div_ceil(PROBED)
}

/// One figure for each fifth of them: whether the last are made as fast as the first.
fn create_all(node: &TestNode, count: usize) {
    for part in 0..RUNS_MIN {
        let some = count * part / RUNS_MIN..count * (part + 1) / RUNS_MIN;
        let (started, number) = (Instant::now(), some.len());
        create(node, some);
        let rate = number as f64 / started.elapsed().as_secs_f64();
        say("durable creation, each fifth of them", Unit::PerSecond, rate);
        say("resident memory, while they are created", Unit::Bytes, crate::resident_bytes_of("self"));
    }
}

fn create(node: &TestNode, numbers: Range<usize>) {
    each(
        node,
        CREATORS,
        numbers.len(),
        move |at| numbers.start + at,
        |number, counter| async move {
            let set = Command::Set(number as i64);
            assert_eq!(counter.call(&set).await.expect("the node is healthy").value, number as i64);
        },
    );
}

/// Calls of entities that are in memory: the last ones, which were touched before.
fn awake(node: &TestNode, count: usize, effort: Effort) {
    let called = Scattered::over(count.saturating_sub(CALLED_MAX)..count);
    read_each(node, called, 0..called.count);
    let (calls, started) = (effort.of(CALLS), Instant::now());
    read_each(node, called, 0..calls);
    say("call of a random awake entity, 64 callers", Unit::PerSecond, rate(calls, started));
    std::thread::sleep(COUNTED_AFTER);
    say("resident memory", Unit::Bytes, crate::resident_bytes_of("self"));
    let counted = node.metrics().resident_bytes.get();
    say("awake entities, as the node counts their memory", Unit::Bytes, counted as f64);
}

fn rate(count: usize, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

/// All sleep after a start.
fn restarted(settings: &Settings, count: usize, run: usize, effort: Effort) {
    say("store on disk", Unit::Bytes, disk_bytes(&settings.data_dir) as f64);
    let started = Instant::now();
    let node = TestNode::start(settings);
    say("start again to ready", Unit::Nanoseconds, started.elapsed().as_nanos() as f64);
    let all = Scattered::over(0..count);
    let alone = effort.of(WOKEN_ALONE).min(count / 4);
    // Others than in the runs before, as far as there are any.
    let from = run * 2 * (WOKEN_ALONE + WOKEN_AT_ONCE);
    for what in ["wake from the store", "call of an awake entity"] {
        let latencies = latencies(&node, all, from..from + alone);
        for (name, percentile) in [("p50", 50.0), ("p99", 99.0)] {
            let latency = latencies.value_at_percentile(percentile);
            say(format!("{what}, 1 caller, {name}"), Unit::Nanoseconds, latency as f64);
        }
    }
    let at_once = effort.of(WOKEN_AT_ONCE).min(count / 4);
    let started = Instant::now();
    read_each(&node, all, from + alone..from + alone + at_once);
    say("wakes from the store, 64 callers", Unit::PerSecond, rate(at_once, started));
    say("list, a page of 100", Unit::Nanoseconds, list(&node, count, effort));
    node.stop();
}

/// How long a page takes that begins anywhere: the median.
fn list(node: &TestNode, count: usize, effort: Effort) -> f64 {
    let mut latencies = histogram();
    let starts = Scattered::over(0..count - PAGE);
    for number in (0..effort.of(PAGES)).map(|at| starts.at(at)) {
        let query = ListQuery {
            kind: KindName::new("counter").expect("it is allowed"),
            prefix: String::new(),
            after: Some(key_of(number)),
            limit: PAGE,
        };
        let began = Instant::now();
        let page = node.wait(node.router().list(query, LIST_TIMEOUT)).expect("the node is healthy");
        record(&mut latencies, began.elapsed());
        let is_next = page.entities.first().is_some_and(|(found, _)| found.as_str() == key(number + 1));
        assert!(is_next && page.entities.len() == PAGE, "all of them are listed");
    }
    latencies.value_at_percentile(50.0) as f64
}

/// Reads one after the other.
fn latencies(node: &TestNode, entities: Scattered, at: Range<usize>) -> Histogram<u64> {
    let router = node.router().clone();
    let measured = node.each([at], |at| {
        let router = router.clone();
        async move {
            let mut latencies = histogram();
            for number in at.map(|at| entities.at(at)) {
                let counter = EntityRef::new(router.clone(), key_of(number));
                let began = Instant::now();
                read(number, counter).await;
                record(&mut latencies, began.elapsed());
            }
            latencies
        }
    });
    measured.into_iter().next().expect("there is one caller")
}

fn read_each(node: &TestNode, entities: Scattered, at: Range<usize>) {
    each(node, CALLERS, at.len(), move |place| entities.at(at.start + place), read);
}

async fn read(number: usize, counter: EntityRef<Counter>) {
    let value = counter.call(&Command::Get {}).await.expect("the node is healthy").value;
    assert_eq!(value, number as i64, "nothing acknowledged is lost");
}

/// So many callers share the work on `count` entities.
fn each<F>(
    node: &TestNode,
    callers: usize,
    count: usize,
    number: impl Fn(usize) -> usize + Clone + Send + 'static,
    work: impl Fn(usize, EntityRef<Counter>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    node.each(0..callers, |caller| {
        let (router, number, work) = (node.router().clone(), number.clone(), work.clone());
        async move {
            for number in (caller..count).step_by(callers).map(number) {
                work(number, EntityRef::new(router.clone(), key_of(number))).await;
            }
        }
    });
}

fn key_of(number: usize) -> Key {
    Key::new(key(number)).expect("the bench chooses allowed keys")
}

/// Numbers of a range, each once, in an order that jumps about.
#[derive(Clone, Copy)]
struct Scattered {
    first: usize,
    count: usize,
}

impl Scattered {
    /// A prime above all that is counted here, so that no number comes twice.
    const STEP: usize = 15_485_863;

    fn over(numbers: Range<usize>) -> Self {
        Self { first: numbers.start, count: numbers.len() }
    }

    fn at(self, place: usize) -> usize {
        self.first + place * Self::STEP % self.count
    }
}

/// What the files of a folder take.
fn disk_bytes(folder: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let bytes = |entry: std::io::Result<DirEntry>| {
        let entry = entry.expect("the folder can be read");
        let metadata = entry.metadata().expect("the file exists");
        if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * BLOCK }
    };
    fs::read_dir(folder).expect("the folder exists").map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_numbers_are_all_of_them() {
        let scattered = Scattered::over(10..1_010);
        let found: std::collections::BTreeSet<_> = (0..1_000).map(|at| scattered.at(at)).collect();
        assert!(found.into_iter().eq(10..1_010));
        assert_ne!(scattered.at(0) + 1, scattered.at(1));
    }
}
