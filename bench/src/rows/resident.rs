//! What an idle entity takes in memory, beside a tokio task with a channel.

use std::{path::Path, process::Command as Process};

use playhouse::{protocol::Key, router::EntityRef};
use playhouse_cluster::store::EngineKind;
use tokio::sync::mpsc;

use super::{key, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, runtime, settings},
    sink::{Command, Sink},
    table::{OURS, name},
};

/// Both without the eight bytes of their state.
const WORK: &str = "resident entity, above its struct";
const ENTITIES: usize = 1_000_000;
const CALLERS: usize = 64;

/// The first argument of a child process that measures.
pub const CHILD: &str = "--resident-child";

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    for _ in 0..effort.runs {
        figures.note(name(WORK, OURS), Unit::Bytes, child("entity"));
        figures.note(name(WORK, "tokio task + mpsc"), Unit::Bytes, child("task"));
    }
}

/// What was freed may stay with the process, so each measurement has one of its own.
pub(super) fn child(what: &str) -> f64 {
    let own = std::env::current_exe().expect("this program is a file");
    let output = Process::new(own).args([CHILD, what]).output().expect("a process can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the child prints a number")
}

/// Measures in this process, which should do nothing else: bytes per entity (`entity`) or task (`task`).
///
/// # Panics
///
/// When `what` is neither.
#[must_use]
pub fn measure_here(what: &str) -> f64 {
    match what {
        "entity" => entities(),
        "task" => tasks(),
        other => panic!("{other}: neither entity nor task"),
    }
}

fn entities() -> f64 {
    let volume = volume(&std::env::temp_dir());
    let node = TestNode::start(&settings(volume.path(), EngineKind::Memory));
    wake(&node, 0..1_000);
    let before = resident_bytes();
    wake(&node, 1_000..1_000 + ENTITIES);
    let used = resident_bytes() - before;
    node.stop();
    used / ENTITIES as f64 - size_of::<Sink>() as f64
}

fn wake(node: &TestNode, numbers: std::ops::Range<usize>) {
    node.each(0..CALLERS, |caller| {
        let router = node.router().clone();
        let own = (numbers.start + caller..numbers.end).step_by(CALLERS);
        async move {
            for number in own {
                let entity =
                    EntityRef::<Sink>::new(router.clone(), Key::new(key(number)).expect("it is allowed"));
                let first = entity.call(&Command::Note(0)).await.expect("a sink never refuses");
                assert_eq!(first, 1, "it was not awake before");
            }
        }
    });
}

fn tasks() -> f64 {
    let runtime = runtime();
    let start = |count: usize| -> Vec<mpsc::Sender<u64>> {
        let senders = (0..count).map(|_| {
            let (sender, mut receiver) = mpsc::channel(8);
            runtime.handle().spawn(async move {
                let mut received = 0;
                while receiver.recv().await.is_some() {
                    received += 1;
                }
                received
            });
            sender
        });
        senders.collect()
    };
    let warm = start(1_000);
    let before = resident_bytes();
    let senders = start(ENTITIES);
    runtime.block_on(async {
        for sender in &senders {
            sender.send(0).await.expect("the task lives");
        }
    });
    let used = resident_bytes() - before;
    drop((warm, senders));
    used / ENTITIES as f64 - size_of::<u64>() as f64
}

fn resident_bytes() -> f64 {
    crate::resident_bytes_of("self")
}
