//! Durable append to the store, as a Raft log does it, beside a raw file with the same group commit: many writers of one event each, and
//! one writer of larger and larger batches.

use std::{path::Path, time::Duration};

use playhouse_cluster::{environment::Environment, store::EngineKind};
use tokio::{runtime::Runtime, task::JoinHandle, time::Instant};

use super::{counted, volume};
use crate::{
    Effort, Figures, Unit,
    node::runtime,
    raw_file::RawFile,
    store::{Appender, EVENT_BYTES, start},
    table::{OURS, name},
};

const RUN: Duration = Duration::from_secs(1);
const WRITERS: u32 = 64;
/// What one writer appends at a time.
const BATCHES: [u64; 3] = [1, 16, 256];
const AXIS: &str = "events per batch";

#[derive(Clone, Copy)]
enum Subject {
    RawFile,
    Store(EngineKind),
}

impl Subject {
    const ALL: [Self; 3] = [Self::Store(EngineKind::Fjall), Self::Store(EngineKind::Sled), Self::RawFile];

    fn who(self) -> String {
        match self {
            Self::RawFile => "raw append + fdatasync".to_owned(),
            Self::Store(EngineKind::Fjall) => OURS.to_owned(),
            Self::Store(kind) => format!("{OURS}, {} without fsync", kind.name()),
        }
    }
}

/// Who appends, what at a time, and how long.
#[derive(Clone, Copy)]
struct Load {
    writers: u32,
    events: u64,
    run: Duration,
}

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let (alone, many) = (work(1), work(WRITERS));
    let run = effort.lasting(RUN);
    for _ in 0..effort.runs {
        for events in BATCHES {
            for subject in Subject::ALL {
                let rate = rate(folder, subject, Load { writers: 1, events, run });
                figures.note_at(name(&alone, &subject.who()), (AXIS, events as f64), Unit::PerSecond, rate);
            }
        }
        for subject in Subject::ALL {
            let rate = rate(folder, subject, Load { writers: WRITERS, events: 1, run });
            figures.note(name(&many, &subject.who()), Unit::PerSecond, rate);
        }
    }
}

fn work(writers: u32) -> String {
    format!("durable append, {}", counted(writers as usize, "writer"))
}

/// Events per second, counted by those that were told that they are durable.
fn rate(folder: &Path, subject: Subject, load: Load) -> f64 {
    let (volume, runtime) = (volume(folder), runtime());
    let appended = match subject {
        Subject::RawFile => to_file(volume.path(), &runtime, load),
        Subject::Store(kind) => to_store(volume.path(), kind, &runtime, load),
    };
    appended as f64 / load.run.as_secs_f64()
}

fn to_file(folder: &Path, runtime: &Runtime, load: Load) -> u64 {
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    let file = RawFile::create(&folder.join("log"), &environment).expect("the disk works");
    let end = Instant::now() + load.run;
    let writers = (0..load.writers).map(|writer| {
        let file = file.clone();
        runtime.handle().spawn(async move {
            let mut appended = 0;
            while Instant::now() < end {
                file.append(vec![writer as u8; EVENT_BYTES * load.events as usize]).await;
                appended += load.events;
            }
            appended
        })
    });
    sum(runtime, writers.collect())
}

fn to_store(folder: &Path, kind: EngineKind, runtime: &Runtime, load: Load) -> u64 {
    let store = start(kind, folder, runtime.handle());
    let end = Instant::now() + load.run;
    let writers = (0..load.writers).map(|writer| {
        let mut appender = Appender::new(store.clone(), writer);
        runtime.handle().spawn(async move {
            let mut appended = 0;
            while Instant::now() < end {
                appender.append(load.events).await;
                appended += load.events;
            }
            appended
        })
    });
    let appended = sum(runtime, writers.collect());
    runtime.block_on(store.shutdown());
    appended
}

fn sum(runtime: &Runtime, writers: Vec<JoinHandle<u64>>) -> u64 {
    let appended = runtime.block_on(futures_util::future::try_join_all(writers));
    appended.expect("no writer panics").into_iter().sum()
}
