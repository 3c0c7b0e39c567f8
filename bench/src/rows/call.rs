//! Local call, beside a channel with a oneshot for the reply.

use std::path::Path;

use playhouse_cluster::store::EngineKind;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{counted, key, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, Threads, runtime, settings},
    sink::{Command, Sink},
    table::{OURS, name},
};

/// Callers, and how many calls all of them make together.
const LOADS: [(usize, usize); 2] = [(1, 50_000), (64, 640_000)];

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    for _ in 0..effort.runs {
        for threads in [Threads::AsRun, Threads::One] {
            let volume = volume(folder);
            let node = TestNode::start_on(&settings(volume.path(), EngineKind::Memory), threads);
            for (callers, calls) in LOADS {
                let who = format!("{OURS}{}", threads.suffix());
                figures.note(name(&work(callers), &who), Unit::PerSecond, entities(&node, callers, calls));
            }
            node.stop();
        }
        for (callers, calls) in LOADS {
            let rate = channels(callers, calls);
            figures.note(name(&work(callers), "tokio mpsc + oneshot"), Unit::PerSecond, rate);
        }
    }
}

fn work(callers: usize) -> String {
    format!("local call, {}", counted(callers, "caller"))
}

/// Each caller calls an entity of its own.
pub(super) fn entities(node: &TestNode, callers: usize, calls: usize) -> f64 {
    let started = Instant::now();
    node.each(0..callers, |caller| {
        let entity = node.entity::<Sink>(&key(caller));
        async move {
            for number in 0..calls / callers {
                entity.call(&Command::Note(number as u64)).await.expect("a sink never refuses");
            }
        }
    });
    calls as f64 / started.elapsed().as_secs_f64()
}

/// Each caller calls a task of its own.
pub(super) fn channels(callers: usize, calls: usize) -> f64 {
    let runtime = runtime();
    let started = Instant::now();
    let tasks = (0..callers).map(|_| {
        let (sender, receiver) = mpsc::channel(64);
        drop(runtime.handle().spawn(answer(receiver)));
        runtime.handle().spawn(ask(sender, calls / callers))
    });
    let tasks: Vec<_> = tasks.collect();
    let done = runtime.block_on(futures_util::future::try_join_all(tasks));
    done.expect("no task panics");
    calls as f64 / started.elapsed().as_secs_f64()
}

/// All callers call one task.
pub(super) fn one_channel(callers: usize, calls: usize) -> f64 {
    let runtime = runtime();
    let started = Instant::now();
    let (sender, receiver) = mpsc::channel(64);
    drop(runtime.handle().spawn(answer(receiver)));
    let tasks = (0..callers).map(|_| runtime.handle().spawn(ask(sender.clone(), calls / callers)));
    let tasks: Vec<_> = tasks.collect();
    let done = runtime.block_on(futures_util::future::try_join_all(tasks));
    done.expect("no task panics");
    calls as f64 / started.elapsed().as_secs_f64()
}

type Question = (u64, oneshot::Sender<u64>);

async fn answer(mut questions: mpsc::Receiver<Question>) {
    let mut received = 0;
    while let Some((_, reply)) = questions.recv().await {
        received += 1;
        reply.send(received).expect("the caller waits");
    }
}

async fn ask(questions: mpsc::Sender<Question>, calls: usize) {
    for number in 0..calls {
        let (reply, answer) = oneshot::channel();
        questions.send((number as u64, reply)).await.expect("the task lives");
        answer.await.expect("the task answers");
    }
}
