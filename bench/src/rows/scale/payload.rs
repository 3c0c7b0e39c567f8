//! Larger payloads: local, remote and durable, beside raw frames, Erlang and a raw file with the same payload.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use playhouse::{protocol::CallError, router::EntityRef};
use playhouse_cluster::store::EngineKind;
use tokio::time::Instant;

use super::{
    super::{
        appends::Load,
        cast, key,
        remote::{in_place, linked, on_or_off, targets},
        remote_call, remote_cast, volume,
    },
    Point,
};
use crate::{
    Effort, Figures, Unit,
    cluster::Cluster,
    node::{TestNode, settings},
    parcel::Parcel,
    peers,
    processes::erlang::{Erlang, ErlangNode},
    raw_frames::RawFrames,
    sink::{Command, Sink},
    table::OURS,
};

const AXIS: &str = "payload, bytes";
const SIZES: [usize; 5] = [16, 256, 4 << 10, 64 << 10, 1 << 20];
const QUICK_SIZES: [usize; 2] = [16, 1 << 20];
/// A figure is made of so many messages, if they are small, or of so many bytes.
const MESSAGES_MAX: usize = 400_000;
const BYTES: usize = 256 << 20;
const SENDERS: usize = 2;
const CALLERS_MAX: usize = 64;
/// All callers together ask with so many bytes at most: the mailbox of one shard takes twice that.
const ASKED_BYTES_MAX: usize = 8 << 20;
const DURABLE_RUN: Duration = Duration::from_millis(500);
const RAW: &str = "raw frames";
const FILE: &str = "raw append + fdatasync";

pub(in crate::rows) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let links = [false, true].map(|is_encrypted| (is_encrypted, linked(effort, is_encrypted)));
    let raw = RawFrames::start();
    let mut erlang = erlang(figures);
    say_where_it_ends(folder, figures);
    for _ in 0..effort.runs {
        for size in if effort.is_quick { &QUICK_SIZES[..] } else { &SIZES } {
            let callers = CALLERS_MAX.min(ASKED_BYTES_MAX / size);
            let count = effort.of((BYTES / size).min(MESSAGES_MAX)).div_ceil(callers) * callers;
            if callers < CALLERS_MAX {
                figures.remark(format!(
                    "{CALLERS_MAX} callers; with {size} bytes {callers}, for the peers, too"
                ));
            }
            let mut work = Work { figures, folder, effort, size: *size, callers, count };
            work.local();
            links.iter().for_each(|(is_encrypted, cluster)| work.remote(cluster, *is_encrypted));
            work.raw(&raw);
            if let Some((_, own, _other)) = &mut erlang {
                work.erlang(own);
            }
            work.durable();
        }
    }
    links.into_iter().for_each(|(_, cluster)| cluster.stop());
}

/// What is done with payloads of one size.
struct Work<'a> {
    figures: &'a mut Figures,
    folder: &'a Path,
    effort: Effort,
    size: usize,
    callers: usize,
    count: usize,
}

impl Work<'_> {
    /// A rate, and what it is in bytes.
    fn rate(&mut self, work: &str, who: &str, rate: f64) {
        let mut point = Point { figures: self.figures, axis: AXIS, x: self.size as f64 };
        point.whose(work, who, Unit::PerSecond, rate);
        point.whose(&format!("{work}, payload bytes"), who, Unit::PerSecond, rate * self.size as f64);
    }

    fn command(&self) -> Command {
        Command::Load(Bytes::from(vec![7; self.size]))
    }

    fn local(&mut self) {
        let volume = volume(self.folder);
        let node = TestNode::start(&settings(volume.path(), EngineKind::Memory));
        let command = self.command();
        let rate = cast::commands(&node, SENDERS, self.count, move |_| command.clone());
        self.rate("local cast", OURS, rate);
        let rate = local_calls(&node, self.callers, self.count, &self.command());
        self.rate("local call", OURS, rate);
        node.stop();
    }

    fn remote(&mut self, cluster: &Cluster, is_encrypted: bool) {
        let who = format!("{OURS}, encryption {}", on_or_off(is_encrypted));
        let casts = remote_cast::measure_in_place(cluster, SENDERS, self.count, self.size, self.figures);
        assert_eq!(casts.lost, 0, "every cast that was taken arrives");
        self.rate("remote cast", &who, casts.rate);
        let (callers, count, command) = (self.callers, self.count, self.command());
        let rate = in_place(cluster, self.figures, || {
            remote_call::rate(cluster, &targets(cluster, callers), count, &command)
        });
        self.rate("remote call", &who, rate);
    }

    fn raw(&mut self, raw: &RawFrames) {
        self.rate("remote cast", RAW, raw.casts(self.count, remote_cast::TARGETS, self.size));
        self.rate("remote call", RAW, raw.callers(self.count, self.callers, self.size));
    }

    fn erlang(&mut self, own: &mut ErlangNode) {
        let Self { callers, count, size, .. } = *self;
        let casts = own.obedient().number(&format!("remote_send {SENDERS} {count} {size}"));
        self.rate("remote cast", "Erlang", casts);
        let calls = own.obedient().number(&format!("remote_call {callers} {count} {size}"));
        self.rate("remote call", "Erlang gen_server", calls);
    }

    fn durable(&mut self) {
        let run = self.effort.lasting(DURABLE_RUN);
        let rate = durable_calls(self.folder, self.callers, self.size, run);
        self.rate("durable call", OURS, rate);
        let load = Load { writers: self.callers as u32, events: 1, run };
        let rate = load.to_file(self.folder, self.size);
        self.rate("durable call", FILE, rate);
    }
}

/// Each caller calls an entity of its own.
fn local_calls(node: &TestNode, callers: usize, count: usize, command: &Command) -> f64 {
    let started = Instant::now();
    let counted = node.each(0..callers, |caller| {
        let (entity, command) = (node.entity::<Sink>(&key(1_000_000 + caller)), command.clone());
        async move {
            let mut last = 0;
            for _ in 0..count / callers {
                last = entity.call(&command).await.expect("a sink never refuses");
            }
            last
        }
    });
    assert_eq!(counted.into_iter().sum::<u64>(), count as u64, "every call counts once");
    count as f64 / started.elapsed().as_secs_f64()
}

/// A content whose state is so large, its length included.
fn content(size: usize) -> Bytes {
    // A length has seven bits in each byte.
    let length_bytes =
        (1usize..).find(|bytes| size - bytes < 1 << (7 * bytes)).expect("some number is enough");
    Bytes::from(vec![7; size - length_bytes])
}

fn durable_calls(folder: &Path, callers: usize, size: usize, run: Duration) -> f64 {
    let volume = volume(folder);
    let node = TestNode::start(&settings(volume.path(), EngineKind::Fjall));
    let started = Instant::now();
    let counted = node.each(0..callers, |caller| {
        let (entity, content) = (node.entity::<Parcel>(&key(caller)), content(size));
        async move {
            let mut acknowledged = 0;
            while started.elapsed() < run {
                acknowledged += 1;
                let changes = entity.call(&content).await.expect("the node is healthy");
                assert_eq!(changes, acknowledged, "every call counts once");
            }
            acknowledged
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    node.stop();
    counted.into_iter().sum::<u64>() as f64 / seconds
}

/// The largest state is kept, and one byte more is refused.
fn say_where_it_ends(folder: &Path, figures: &mut Figures) {
    let volume = volume(folder);
    let settings = settings(volume.path(), EngineKind::Memory);
    let largest = settings.shard.limits.state_bytes_max;
    let node = TestNode::start(&settings);
    let parcel: EntityRef<Parcel> = node.entity(&key(0));
    node.wait(async {
        parcel.call(&content(largest)).await.expect("it is not too large");
        let refused = parcel.call(&content(largest + 1)).await;
        assert!(matches!(refused, Err(CallError::TooLarge { .. })), "{refused:?}");
    });
    node.stop();
    figures.remark(format!(
        "durable payloads end at {largest} bytes (`limits.state_bytes_max`): one byte more is refused as too large"
    ));
}

/// Two nodes of Erlang, the first of which knows processes of the second.
fn erlang(figures: &mut Figures) -> Option<(Erlang, ErlangNode, ErlangNode)> {
    if !peers::ERLANG.is_installed_or_remark(figures) {
        return None;
    }
    let erlang = Erlang::start();
    let (mut own, other) = (erlang.node(), erlang.node());
    own.obey(&format!("join {}", other.name()));
    own.obey(&format!("remote_start {} {}", other.name(), remote_cast::TARGETS));
    Some((erlang, own, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_as_large_as_it_is_stored() {
        for size in SIZES.into_iter().chain([127, 128, 129, 130, 16_384, 16_385, 16_386, 16_387]) {
            let stored = playhouse_cluster::codec::encode(&content(size)).unwrap();
            assert!(stored.len().abs_diff(size) <= 1, "{size}: {}", stored.len());
        }
        assert_eq!(playhouse_cluster::codec::encode(&content(1 << 20)).unwrap().len(), 1 << 20);
    }
}
