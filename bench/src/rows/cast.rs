//! Local cast to an entity, beside tokio's channels.

use std::path::Path;

use playhouse::{protocol::CallError, router::EntityRef};
use playhouse_cluster::store::EngineKind;
use tokio::{sync::mpsc, time::Instant};

use super::{counted, key, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, Threads, runtime, settings},
    sink::{Command, Sink},
    table::{OURS, name},
};

const WORK: &str = "local cast";
const TARGETS: usize = 1_000;
const CASTS: usize = 4_000_000;
/// How many casts a sender makes before it lets other tasks run.
const PER_TURN: usize = 256;
/// As a mailbox of ours.
const CHANNEL: usize = 65_536;

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    for _ in 0..effort.runs {
        for threads in [Threads::AsRun, Threads::One] {
            let volume = volume(folder);
            let node = TestNode::start_on(&settings(volume.path(), EngineKind::Memory), threads);
            for senders in [1, 2] {
                let who = format!("{OURS}, {}{}", counted(senders, "sender"), threads.suffix());
                figures.note(name(WORK, &who), Unit::PerSecond, casts(&node, senders));
            }
            node.stop();
        }
        figures.note(name(WORK, "tokio mpsc"), Unit::PerSecond, channel(false));
        figures.note(name(WORK, "tokio mpsc, recv_many"), Unit::PerSecond, channel(true));
    }
}

fn casts(node: &TestNode, senders: usize) -> f64 {
    // The same one again and again would be cheaper than what senders do.
    commands(node, senders, CASTS, |number| Command::Note(number as u64))
}

/// So many casts, each of which is counted.
pub(super) fn commands(
    node: &TestNode,
    senders: usize,
    casts: usize,
    command: impl Fn(usize) -> Command + Clone + Send + 'static,
) -> f64 {
    let targets: Vec<EntityRef<Sink>> = (0..TARGETS).map(|number| node.entity(&key(number))).collect();
    let before = received(node, &targets);
    let started = Instant::now();
    node.each(0..senders, |sender| send(targets.clone(), sender, casts / senders, command.clone()));
    // The mailbox keeps order, so this is answered when all casts were executed.
    let arrived = received(node, &targets) - before;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(arrived, (casts / senders * senders) as u64, "every cast that was taken arrives");
    arrived as f64 / seconds
}

async fn send(
    targets: Vec<EntityRef<Sink>>,
    sender: usize,
    count: usize,
    command: impl Fn(usize) -> Command,
) {
    for number in 0..count {
        let target = &targets[(number + sender * TARGETS / 2) % TARGETS];
        let command = command(number);
        loop {
            match target.cast(&command) {
                Ok(()) => break,
                Err(CallError::Overloaded { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// What the targets counted.
fn received(node: &TestNode, targets: &[EntityRef<Sink>]) -> u64 {
    let all = targets.to_vec();
    let sums = node.each([all], |all| async move {
        let asked = all.iter().map(|target| target.call(&Command::Received));
        let counts = futures_util::future::try_join_all(asked).await;
        counts.expect("a sink never refuses").into_iter().sum::<u64>()
    });
    sums[0]
}

/// One sender, one receiver that counts for 1,000 targets.
pub(super) fn channel(many: bool) -> f64 {
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel::<([u8; 16], u64)>(CHANNEL);
    let started = Instant::now();
    let counting = runtime.handle().clone();
    let arrived = runtime.block_on(async {
        let receiving = counting.spawn(count(receiver, many));
        counting.spawn(async move {
            for number in 0..CASTS as u64 {
                let key = u128::from(number % TARGETS as u64).to_le_bytes();
                sender.send((key, number)).await.expect("the receiver lives");
            }
        });
        receiving.await.expect("no task panics")
    });
    assert_eq!(arrived, CASTS as u64);
    arrived as f64 / started.elapsed().as_secs_f64()
}

async fn count(mut receiver: mpsc::Receiver<([u8; 16], u64)>, many: bool) -> u64 {
    let mut counts = vec![0; TARGETS];
    let mut note = |key: [u8; 16]| counts[u128::from_le_bytes(key) as usize] += 1;
    if many {
        let mut batch = Vec::with_capacity(1_024);
        while receiver.recv_many(&mut batch, 1_024).await > 0 {
            batch.drain(..).for_each(|(key, _)| note(key));
        }
    } else {
        while let Some((key, _)) = receiver.recv().await {
            note(key);
        }
    }
    counts.iter().sum()
}
