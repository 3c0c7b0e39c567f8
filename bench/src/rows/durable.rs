//! Durable call, beside the store alone and beside a raw file.

use std::{path::Path, time::Duration};

use playhouse::kinds::{Counter, counter::Command};
use playhouse_cluster::{environment::Environment, store::EngineKind};
use tokio::time::Instant;

use super::{key, redis, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, runtime, settings},
    raw_file::RawFile,
    store::{Appender, EVENT_BYTES},
    table::{OURS, name},
};

const CALLERS: [usize; 2] = [64, 512];
const RUN: Duration = Duration::from_secs(2);

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let has_redis = redis::is_installed(figures);
    for _ in 0..effort.runs {
        for callers in CALLERS {
            let named = |who: &str| name(&format!("durable call, {callers} callers"), who);
            figures.note(named(OURS), Unit::PerSecond, calls(folder, callers));
            figures.note(named("store append (fjall)"), Unit::PerSecond, appends(folder, callers));
            if has_redis {
                figures.note(
                    named("Redis, appendfsync always"),
                    Unit::PerSecond,
                    redis::durable(callers, RUN),
                );
            }
            figures.note(
                named("raw append + fdatasync"),
                Unit::PerSecond,
                raw_appends(folder, callers, EVENT_BYTES, RUN),
            );
        }
    }
}

fn calls(folder: &Path, callers: usize) -> f64 {
    let volume = volume(folder);
    let node = TestNode::start(&settings(volume.path(), EngineKind::Fjall));
    let rate = calls_on(&node, callers, RUN);
    node.stop();
    rate
}

/// Each caller adds to a counter of its own, which nobody used before.
pub(super) fn calls_on(node: &TestNode, callers: usize, run: Duration) -> f64 {
    let started = Instant::now();
    let acknowledged = node.each(0..callers, |caller| {
        let counter = node.entity::<Counter>(&key(caller));
        async move {
            let mut acknowledged = 0;
            while started.elapsed() < run {
                let reply = counter.call(&Command::Add(1)).await.expect("the node is healthy");
                acknowledged += 1;
                assert_eq!(reply.value, acknowledged, "every call counts once");
            }
            acknowledged
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    acknowledged.into_iter().sum::<i64>() as f64 / seconds
}

fn appends(folder: &Path, writers: usize) -> f64 {
    let (volume, runtime) = (volume(folder), runtime());
    let store = crate::store::start(EngineKind::Fjall, volume.path(), runtime.handle());
    let rate = rate(&runtime, writers, |writer, started| {
        let mut appender = Appender::new(store.clone(), u32::try_from(writer).expect("it is small"));
        async move {
            let mut appended = 0;
            while started.elapsed() < RUN {
                appender.append(1).await;
                appended += 1;
            }
            appended
        }
    });
    runtime.block_on(store.shutdown());
    rate
}

/// Each writer appends so many bytes at once.
pub(super) fn raw_appends(folder: &Path, writers: usize, bytes: usize, run: Duration) -> f64 {
    let (volume, runtime) = (volume(folder), runtime());
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    let file = RawFile::create(&volume.path().join("log"), &environment).expect("the disk works");
    rate(&runtime, writers, |writer, started| {
        let file = file.clone();
        async move {
            let mut appended = 0;
            while started.elapsed() < run {
                file.append(vec![writer as u8; bytes]).await;
                appended += 1;
            }
            appended
        }
    })
}

fn rate<F>(runtime: &tokio::runtime::Runtime, writers: usize, work: impl Fn(usize, Instant) -> F) -> f64
where
    F: Future<Output = u64> + Send + 'static,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers).map(|writer| runtime.handle().spawn(work(writer, started))).collect();
    let appended = runtime.block_on(futures_util::future::try_join_all(tasks)).expect("no task panics");
    appended.into_iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64()
}
