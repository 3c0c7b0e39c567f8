//! Cast to entities that another process leads, beside raw frames between two processes.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use playhouse::{protocol::CallError, router::EntityRef};
use tokio::time::Instant;

use super::{
    counted,
    remote::{BODIES, in_place, is_remote, linked, on_or_off, targets},
};
use crate::{
    Effort, Figures, Unit,
    cluster::Cluster,
    raw_frames::RawFrames,
    sink::{Command, Sink},
    table::{OURS, name},
};

pub(super) const TARGETS: usize = 1_000;
const CASTS: usize = 4_000_000;
/// How many casts a sender makes before it lets other tasks run.
const PER_TURN: usize = 256;
/// How long a sender waits that was told to. Nobody tells when there is room again, or a leader.
const BACK_OFF: Duration = Duration::from_millis(1);

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let clusters = [false, true].map(|is_encrypted| (is_encrypted, linked(effort, is_encrypted)));
    let raw = RawFrames::start();
    for _ in 0..effort.runs {
        for body_bytes in BODIES {
            let work = format!("remote cast, {body_bytes} B");
            // About as many bytes with each body.
            let casts = effort.of(if body_bytes > 100 { CASTS / 8 } else { CASTS });
            for (is_encrypted, cluster) in &clusters {
                for senders in [1, 2] {
                    let encryption = on_or_off(*is_encrypted);
                    let who = format!("{OURS}, {}, encryption {encryption}", counted(senders, "sender"));
                    let measured = measure_in_place(cluster, senders, casts, body_bytes, figures);
                    let lost = format!("casts lost on the way, {body_bytes} B");
                    figures.note(name(&work, &who), Unit::PerSecond, measured.rate);
                    figures.note(name(&lost, &who), Unit::Count, measured.lost as f64);
                }
            }
            let rate = raw.casts(casts, TARGETS, body_bytes);
            figures.note(name(&work, "raw frames"), Unit::PerSecond, rate);
        }
    }
    clusters.into_iter().for_each(|(_, cluster)| cluster.stop());
}

pub(super) struct Measured {
    /// Of what arrived.
    pub(super) rate: f64,
    pub(super) lost: u64,
}

/// Again when a shard moved meanwhile.
pub(super) fn measure_in_place(
    cluster: &Cluster,
    senders: usize,
    casts: usize,
    body_bytes: usize,
    figures: &mut Figures,
) -> Measured {
    in_place(cluster, figures, || measure(cluster, senders, casts, body_bytes))
}

/// `None` when not all of it went to the other process: a new leader of a `Volatile` entity begins anew.
fn measure(cluster: &Cluster, senders: usize, casts: usize, body_bytes: usize) -> Option<Measured> {
    let targets = targets(cluster, TARGETS);
    let before = received(cluster, &targets);
    let command = Command::Load(Bytes::from(vec![7; body_bytes]));
    let started = Instant::now();
    let sent = cluster
        .own()
        .each(0..senders, |sender| send(targets.clone(), sender, casts / senders, command.clone()));
    // A lane and a mailbox keep order, so this is answered when all casts were executed.
    let arrived = received(cluster, &targets).checked_sub(before)?;
    let seconds = started.elapsed().as_secs_f64();
    if !targets.iter().all(|target| is_remote(cluster, target)) {
        return None;
    }
    let sent: u64 = sent.into_iter().sum();
    assert!(arrived <= sent, "no cast arrives twice");
    Some(Measured { rate: arrived as f64 / seconds, lost: sent - arrived })
}

async fn send(targets: Vec<EntityRef<Sink>>, sender: usize, count: usize, command: Command) -> u64 {
    let mut targets = targets.iter().cycle().skip(sender * TARGETS / 2);
    for number in 0..count {
        let target = targets.next().expect("it goes round");
        loop {
            match target.cast(&command) {
                Ok(()) => break,
                // Overloaded, or between two leaders: the same back-off.
                Err(CallError::Overloaded { .. } | CallError::Unavailable { .. }) => {
                    tokio::time::sleep(BACK_OFF).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    count as u64
}

/// What the targets counted.
fn received(cluster: &Cluster, targets: &[EntityRef<Sink>]) -> u64 {
    let asked = targets.iter().map(|target| async move {
        loop {
            match target.call(&Command::Received).await {
                Ok(received) => break received,
                Err(
                    CallError::Overloaded { .. } | CallError::Unavailable { .. } | CallError::NotCommitted,
                ) => {
                    tokio::time::sleep(BACK_OFF).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    cluster.own().wait(futures_util::future::join_all(asked)).into_iter().sum()
}
