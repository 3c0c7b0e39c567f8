//! Durable appends per second: a raw file, and each engine behind the store. All subjects take turns, so that a
//! slow minute of the machine hits all of them. Prints JSON.
//!
//! `cargo run --release -p playhouse-bench --bin durable_append [folder] > bench/results/durable_append.json`

#![allow(clippy::print_stdout, clippy::print_stderr)] // The result goes to one, the progress to the other.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use futures_util::future::join_all;
use playhouse_bench::{
    cpu_seconds,
    raw_file::RawFile,
    store::{Appender, EVENT_BYTES, start},
};
use playhouse_cluster::{environment::Environment, store::EngineKind};
use serde::Serialize;
use tokio::{runtime::Handle, time::Instant};

const RUNS: usize = 10;
const RUN: Duration = Duration::from_secs(1);
const WRITERS: u32 = 64;

/// One measurement.
#[derive(Serialize)]
struct Sample {
    run: usize,
    subject: String,
    writers: u32,
    events_per_batch: u64,
    /// With opening and closing.
    seconds: f64,
    /// Time on any processor, all threads together.
    cpu_seconds: f64,
    events: u64,
    events_per_second: f64,
    /// Syncs, where the subject counts them.
    syncs: Option<u64>,
    /// How long syncs took on average, in microseconds.
    sync_us: Option<u64>,
}

#[derive(Clone, Copy)]
enum Subject {
    RawFile,
    Store(EngineKind),
}

impl Subject {
    const ALL: [Self; 3] = [Self::RawFile, Self::Store(EngineKind::Fjall), Self::Store(EngineKind::Sled)];

    fn name(self) -> String {
        match self {
            Self::RawFile => "raw file".to_owned(),
            Self::Store(kind) => kind.name().to_owned(),
        }
    }
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let mut samples = Vec::new();
    for run in 0..RUNS {
        for (writers, events) in [(1, 1), (1, 16), (1, 256), (WRITERS, 1)] {
            for subject in Subject::ALL {
                let sample = measure(run, subject, writers, events, &folder).await;
                eprintln!(
                    "{run} {}: {writers} × {events}: {:.0}/s",
                    sample.subject, sample.events_per_second
                );
                samples.push(sample);
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&samples).expect("plain data"));
}

async fn measure(run: usize, subject: Subject, writers: u32, events: u64, folder: &Path) -> Sample {
    let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let (appended, syncs, sync_us) = match subject {
        Subject::RawFile => (append_to_file(folder.path(), writers, events).await, None, None),
        Subject::Store(kind) => append_to_store(folder.path(), kind, writers, events).await,
    };
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let events_per_second = appended as f64 / RUN.as_secs_f64();
    let (subject, events_per_batch) = (subject.name(), events);
    Sample {
        run,
        subject,
        writers,
        events_per_batch,
        seconds,
        cpu_seconds,
        events: appended,
        events_per_second,
        syncs,
        sync_us,
    }
}

async fn append_to_file(folder: &Path, writers: u32, events: u64) -> u64 {
    let environment = Environment::real(Handle::current(), Handle::current());
    let file = RawFile::create(&folder.join("log"), &environment).expect("the disk works");
    let end = Instant::now() + RUN;
    let writers = (0..writers).map(|writer| {
        let file = file.clone();
        environment.spawn(async move {
            let mut appended = 0;
            while Instant::now() < end {
                file.append(vec![writer as u8; EVENT_BYTES * events as usize]).await;
                appended += events;
            }
            appended
        })
    });
    sum(writers).await
}

async fn append_to_store(
    folder: &Path,
    kind: EngineKind,
    writers: u32,
    events: u64,
) -> (u64, Option<u64>, Option<u64>) {
    let environment = Environment::real(Handle::current(), Handle::current());
    let store = start(kind, folder, &Handle::current());
    let statistics = store.statistics();
    let end = Instant::now() + RUN;
    let writers = (0..writers).map(|writer| {
        let mut appender = Appender::new(store.clone(), writer);
        environment.spawn(async move {
            let mut appended = 0;
            while Instant::now() < end {
                appender.append(events).await;
                appended += events;
            }
            appended
        })
    });
    let appended = sum(writers).await;
    store.shutdown().await;
    let syncs = statistics.syncs.load(Relaxed);
    (appended, Some(syncs), Some(statistics.sync_us.load(Relaxed) / syncs.max(1)))
}

async fn sum(writers: impl Iterator<Item = tokio::task::JoinHandle<u64>>) -> u64 {
    let writers: Vec<_> = writers.collect(); // Start all before waiting for one.
    join_all(writers).await.into_iter().map(|appended| appended.expect("no writer panics")).sum()
}
