//! Durable call, beside the store alone and beside a raw file.

use std::{path::Path, time::Duration};

use playhouse::kinds::{Counter, counter::Command};
use playhouse_cluster::store::EngineKind;
use tokio::time::Instant;

use super::{appends::Load, key, redis, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, settings},
    peers,
    store::EVENT_BYTES,
    table::{OURS, name},
};

const CALLERS: [usize; 2] = [64, 512];
const RUN: Duration = Duration::from_secs(2);

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let has_redis = peers::REDIS.is_installed_or_remark(figures);
    for _ in 0..effort.runs {
        for callers in CALLERS {
            let named = |who: &str| name(&format!("durable call, {callers} callers"), who);
            figures.note(named(OURS), Unit::PerSecond, calls(folder, callers));
            figures.note(
                named("store append (fjall)"),
                Unit::PerSecond,
                appends(callers).to_store(folder, EngineKind::Fjall),
            );
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
                appends(callers).to_file(folder, EVENT_BYTES),
            );
        }
    }
}

/// As many writers, one event each at a time.
fn appends(callers: usize) -> Load {
    Load { writers: u32::try_from(callers).expect("there are few"), events: 1, run: RUN }
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
