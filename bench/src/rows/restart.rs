//! Restart of a node whose log has a million entries: from the start to a leader of every shard.

use std::path::Path;

use playhouse::{
    kinds::{Counter, counter::Command},
    node::Settings,
};
use playhouse_cluster::store::EngineKind;
use tokio::time::Instant;

use super::{key, volume};
use crate::{
    Figures, Unit,
    node::{TestNode, settings},
};

const ENTRIES: u64 = 1_000_000;
const CALLERS: usize = 2_048;
const CALLS_PER_ROUND: i64 = 50;

pub(super) fn run(folder: &Path, runs: usize, figures: &mut Figures) {
    let volume = volume(folder);
    let mut settings = settings(volume.path(), EngineKind::Fjall);
    // Nothing cuts the log.
    settings.consensus.log_entries_max = u64::MAX;
    settings.consensus.log_bytes_max = u64::MAX;
    let each = fill(&settings);
    for _ in 0..runs {
        let started = Instant::now();
        let node = TestNode::start(&settings);
        let took = started.elapsed();
        figures.note("restart with 1 M log entries", Unit::Nanoseconds, took.as_nanos() as f64);
        check(&node, each);
        node.stop();
    }
    let empty = super::volume(folder);
    settings.data_dir = empty.path().to_owned();
    TestNode::start(&settings).stop();
    for _ in 0..runs {
        let started = Instant::now();
        let node = TestNode::start(&settings);
        figures.note("restart with an empty log", Unit::Nanoseconds, started.elapsed().as_nanos() as f64);
        node.stop();
    }
}

/// Fills the log. Returns what each counter shows then.
#[allow(clippy::print_stderr)] // It takes a while.
fn fill(settings: &Settings) -> i64 {
    let node = TestNode::start(settings);
    let mut each = 0;
    while node.metrics().commit_seconds.get_sample_count() < ENTRIES {
        node.each(0..CALLERS, |caller| {
            let counter = node.entity::<Counter>(&key(caller));
            async move {
                for _ in 0..CALLS_PER_ROUND {
                    counter.call(&Command::Add(1)).await.expect("the node is healthy");
                }
            }
        });
        each += CALLS_PER_ROUND;
        eprint!("\r  {} entries", node.metrics().commit_seconds.get_sample_count());
    }
    eprintln!();
    node.stop();
    each
}

fn check(node: &TestNode, each: i64) {
    let shown = node.each(0..CALLERS, |caller| {
        let counter = node.entity::<Counter>(&key(caller));
        async move { counter.call(&Command::Get {}).await.expect("the node is healthy").value }
    });
    assert!(shown.iter().all(|value| *value == each), "nothing acknowledged is lost");
}
