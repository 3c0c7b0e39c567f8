//! Durable append to the store, as a Raft log does it, beside a raw file with the same group commit: many writers of one event each, and
//! one writer of larger and larger batches.

use std::{path::Path, time::Duration};

use playhouse_cluster::store::EngineKind;

use super::{appends::Load, counted};
use crate::{
    Effort, Figures, Unit,
    store::EVENT_BYTES,
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

fn rate(folder: &Path, subject: Subject, load: Load) -> f64 {
    match subject {
        Subject::RawFile => load.to_file(folder, EVENT_BYTES),
        Subject::Store(kind) => load.to_store(folder, kind),
    }
}
