//! What it costs to purge the Raft logs from the engine that keeps them: the same appends with and without
//! purging, the size on disk, and how long the search for the oldest entry takes afterwards. Prints JSON.
//!
//! `cargo run --release -p playhouse-bench --bin log_purge [folder] > bench/results/samples/log_purge.json`

#![allow(clippy::print_stdout, clippy::print_stderr)] // The result goes to one, the progress to the other.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use futures_util::future::join_all;
use playhouse_bench::{
    cpu_seconds,
    node::environment,
    store::{Appender, start},
};
use playhouse_cluster::store::EngineKind;
use serde::Serialize;
use tokio::{runtime::Handle, time::Instant};

const RUNS: usize = 5;
const LOGS: u32 = 64;

/// How many entries are appended to each log, and how many at a time.
const ENTRIES: u64 = 6_400;
const ENTRIES_PER_BATCH: u64 = 16;

/// How many entries a log keeps when it is purged.
const KEPT: u64 = 1_000;

/// How many entries are appended between two purges of one log.
const PURGE_EVERY: u64 = 1_000;

/// One measurement.
#[derive(Serialize)]
struct Sample {
    run: usize,
    engine: &'static str,
    is_purged: bool,
    entries: u64,
    seconds: f64,
    /// Time on any processor, all threads together.
    cpu_seconds: f64,
    purged: u64,
    disk_bytes: u64,
    /// The slowest search for the oldest entry of a log, in microseconds.
    oldest_us_max: u64,
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let mut samples = Vec::new();
    for run in 0..RUNS {
        for kind in [EngineKind::Fjall, EngineKind::Sled] {
            for is_purged in [false, true] {
                let sample = measure(run, kind, is_purged, &folder).await;
                eprintln!(
                    "{run} {} purged={is_purged}: {:.2} s, {:.2} s cpu, {} purged, {} MB, oldest {} µs",
                    sample.engine,
                    sample.seconds,
                    sample.cpu_seconds,
                    sample.purged,
                    sample.disk_bytes / 1_000_000,
                    sample.oldest_us_max
                );
                samples.push(sample);
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&samples).expect("plain data"));
}

async fn measure(run: usize, kind: EngineKind, is_purged: bool, folder: &Path) -> Sample {
    let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
    let environment = environment(&Handle::current());
    let store = start(kind, folder.path(), &Handle::current());
    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let logs: Vec<_> = (0..LOGS)
        .map(|log| environment.spawn(keep_log(Appender::new(store.clone(), log), is_purged)))
        .collect();
    let logs: Vec<_> = join_all(logs).await.into_iter().map(|log| log.expect("no log panics")).collect();
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    Sample {
        run,
        engine: kind.name(),
        is_purged,
        entries: ENTRIES * u64::from(LOGS),
        seconds,
        cpu_seconds,
        purged: logs.iter().map(|log| log.1).sum(),
        disk_bytes: disk_bytes(folder.path()),
        oldest_us_max: logs.iter().map(|log| time_oldest(&log.0)).max().unwrap_or(0),
    }
}

/// Appends all entries, in batches. Returns the log, and how many entries were purged.
async fn keep_log(mut log: Appender, is_purged: bool) -> (Appender, u64) {
    let (mut appended, mut purged) = (0, 0);
    while appended < ENTRIES {
        log.append(ENTRIES_PER_BATCH).await;
        let before = appended / PURGE_EVERY;
        appended += ENTRIES_PER_BATCH;
        if is_purged && appended / PURGE_EVERY > before {
            purged += log.purge(KEPT).await;
        }
    }
    (log, purged)
}

fn time_oldest(log: &Appender) -> u64 {
    let started = Instant::now();
    let oldest = log.oldest();
    let elapsed = started.elapsed();
    assert!(oldest.is_some(), "the log is not empty");
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// What the files of a folder take, without what was only set aside.
fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the folder exists");
    entries
        .map(|entry| {
            let entry = entry.expect("the folder can be read");
            let metadata = entry.metadata().expect("the file exists");
            if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}
