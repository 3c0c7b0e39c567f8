//! Calls and casts between processes of two nodes, beside raw frames between two programs.

use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use playhouse::process::{CastError, Process};
use ractor::ActorRef;
use tokio::time::Instant;

use super::{ERLANG, GEN_SERVER, OURS, RACTOR_CLUSTER, Run, TARGETS};
use crate::{
    processes::{
        PATIENCE, PER_TURN,
        erlang::ErlangNode,
        linked::Linked,
        ours::{self, Note},
        stage::rated,
        stock::{self, FarNote},
        stock_linked::StockLinked,
    },
    raw_frames::RawFrames,
    rows::remote_call::{histogram, record},
};

const RAW: &str = "raw frames";
const SENDERS: usize = 2;
const CALLERS: usize = 512;
/// Calls of a single caller, and before them.
const ALONE: usize = 5_000;
const WARM: usize = 200;
/// Calls of all callers.
const TOGETHER: usize = 102_400;
const BODY: usize = 16;
/// Bytes of a body, how many of them we and raw frames send, and how many the others.
const CASTS: [(usize, usize, usize); 2] = [(BODY, 1_000_000, 100_000), (1_024, 200_000, 50_000)];
/// How long a sender waits that was told to. Nobody tells when there is room again.
const BACK_OFF: Duration = Duration::from_millis(1);

/// Everybody's two nodes.
struct Pairs {
    ours: [(String, Linked, Vec<Process<Note>>); 2],
    stock: (StockLinked, Vec<ActorRef<FarNote>>),
    raw: RawFrames,
    _erlang: Option<ErlangNode>,
}

pub(super) fn run(run: &mut Run<'_>) {
    let mut pairs = Pairs {
        ours: [(format!("{OURS}, plain link"), false), (OURS.to_owned(), true)].map(|(who, is_encrypted)| {
            let linked = Linked::start(is_encrypted);
            let targets = linked.targets(TARGETS);
            (who, linked, targets)
        }),
        stock: StockLinked::start(TARGETS),
        raw: RawFrames::start(),
        _erlang: join(run),
    };
    run.in_turns(|run| {
        one_caller(run, &pairs);
        many_callers(run, &pairs);
        CASTS.into_iter().for_each(|(bytes, many, few)| casts(run, &mut pairs, bytes, (many, few)));
    });
    pairs.ours.into_iter().for_each(|(_, linked, _)| linked.stop());
    pairs.stock.0.stop();
}

fn join(run: &mut Run<'_>) -> Option<ErlangNode> {
    run.begin_anew();
    let (erlang, own) = run.erlang.as_mut()?;
    let other = erlang.node();
    own.obey(&format!("join {}", other.name()));
    own.obey(&format!("remote_start {} {TARGETS}", other.name()));
    Some(other)
}

fn note_latencies(run: &mut Run<'_>, who: &str, [p50, p99]: [f64; 2]) {
    run.nanoseconds("remote call 16 B, 1 caller, p50", who, p50);
    run.nanoseconds("remote call 16 B, 1 caller, p99", who, p99);
}

fn percentiles(latencies: &Histogram<u64>) -> [f64; 2] {
    [50.0, 99.0].map(|percentile| latencies.value_at_percentile(percentile) as f64)
}

fn body() -> Bytes {
    Bytes::from_static(&[7; BODY])
}

fn one_caller(run: &mut Run<'_>, pairs: &Pairs) {
    let calls = run.effort.of(ALONE);
    for (who, linked, targets) in &pairs.ours {
        let latencies = linked.each([targets[0].clone()], |target| async move {
            let mut latencies = histogram();
            for number in 0..WARM + calls {
                let began = Instant::now();
                target.call(|reply| Note::Ask(body(), reply), PATIENCE).await.expect("a sink answers");
                if number >= WARM {
                    record(&mut latencies, began.elapsed());
                }
            }
            percentiles(&latencies)
        });
        note_latencies(run, who, latencies[0]);
    }
    let (linked, targets) = &pairs.stock;
    let latencies = linked.each([targets[0].clone()], |target| async move {
        let mut latencies = histogram();
        for number in 0..WARM + calls {
            let began = Instant::now();
            stock::answer(target.call(|reply| FarNote::Ask(body().to_vec(), reply), Some(PATIENCE)).await);
            if number >= WARM {
                record(&mut latencies, began.elapsed());
            }
        }
        percentiles(&latencies)
    });
    note_latencies(run, RACTOR_CLUSTER, latencies[0]);
    if let Some((_, own)) = &mut run.erlang {
        let said = own.obey(&format!("remote_latency {WARM} {calls} {BODY}"));
        let said: Vec<f64> = said.split(' ').map(|word| word.parse().expect("it says numbers")).collect();
        note_latencies(run, GEN_SERVER, [said[0], said[1]]);
    }
    let mut latencies = histogram();
    pairs.raw.calls(WARM, 1, &mut |_| {});
    pairs.raw.calls(calls, 1, &mut |latency| record(&mut latencies, latency));
    note_latencies(run, RAW, percentiles(&latencies));
}

/// Each caller calls a process of its own.
fn many_callers(run: &mut Run<'_>, pairs: &Pairs) {
    let work = format!("remote call 16 B, {CALLERS} callers");
    let calls = run.of(TOGETHER, CALLERS);
    for (who, linked, targets) in &pairs.ours {
        let targets = &targets[..CALLERS];
        let before = count(linked, targets);
        let (rate, _) = rated(calls, || {
            linked.each(targets.to_vec(), |target| async move {
                for _ in 0..calls / CALLERS {
                    target.call(|reply| Note::Ask(body(), reply), PATIENCE).await.expect("a sink answers");
                }
            })
        });
        assert_eq!(count(linked, targets) - before, calls as u64, "every call counts once");
        run.rate(&work, who, rate);
    }
    let (linked, targets) = &pairs.stock;
    let targets = &targets[..CALLERS];
    let before = count_stock(linked, targets);
    let (rate, _) = rated(calls, || {
        linked.each(targets.to_vec(), |target| async move {
            for _ in 0..calls / CALLERS {
                stock::answer(
                    target.call(|reply| FarNote::Ask(body().to_vec(), reply), Some(PATIENCE)).await,
                );
            }
        })
    });
    assert_eq!(count_stock(linked, targets) - before, calls as u64, "every call counts once");
    run.rate(&work, RACTOR_CLUSTER, rate);
    run.erlang_rate(&work, GEN_SERVER, &format!("remote_call {CALLERS} {calls} {BODY}"));
    run.rate(&work, RAW, pairs.raw.callers(calls, CALLERS, BODY));
}

fn count(linked: &Linked, targets: &[Process<Note>]) -> u64 {
    linked.each([targets.to_vec()], |targets| async move { ours::received(&targets).await })[0]
}

fn count_stock(linked: &StockLinked, targets: &[ActorRef<FarNote>]) -> u64 {
    let ask = |targets: Vec<_>| async move { stock::received(&targets, FarNote::Received).await };
    linked.each([targets.to_vec()], ask)[0]
}

fn casts(run: &mut Run<'_>, pairs: &mut Pairs, bytes: usize, (many, few): (usize, usize)) {
    let work = format!("remote cast {bytes} B, {SENDERS} senders");
    let (many, few) = (run.of(many, SENDERS), run.of(few, SENDERS));
    for (who, linked, targets) in &pairs.ours {
        let before = count(linked, targets);
        // A connection keeps order, so this is answered when all casts were handled.
        let (rate, ()) = rated(many, || {
            linked.each(0..SENDERS, |sender| send(targets.clone(), sender, many / SENDERS, bytes));
            assert_eq!(count(linked, targets) - before, many as u64, "every cast arrives");
        });
        run.rate(&work, who, rate);
    }
    let (linked, targets) = &pairs.stock;
    let before = count_stock(linked, targets);
    let (rate, ()) = rated(few, || {
        linked.each(0..SENDERS, |sender| send_stock(targets.clone(), sender, few / SENDERS, bytes));
        assert_eq!(count_stock(linked, targets) - before, few as u64, "every cast arrives");
    });
    run.rate(&work, RACTOR_CLUSTER, rate);
    run.erlang_rate(&work, GEN_SERVER, &format!("remote_cast {SENDERS} {few} {bytes}"));
    run.erlang_rate(&work, ERLANG, &format!("remote_send {SENDERS} {few} {bytes}"));
    run.rate(&work, RAW, pairs.raw.casts(many, TARGETS, bytes));
}

async fn send(targets: Vec<Process<Note>>, sender: usize, count: usize, bytes: usize) {
    let body = Bytes::from(vec![7; bytes]);
    for number in 0..count {
        let target = &targets[(number + sender * TARGETS / SENDERS) % TARGETS];
        loop {
            match target.cast(Note::Load(body.clone())).await {
                Ok(()) => break,
                Err(CastError::Full) => tokio::time::sleep(BACK_OFF).await,
                Err(error) => panic!("{error}"),
            }
        }
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn send_stock(targets: Vec<ActorRef<FarNote>>, sender: usize, count: usize, bytes: usize) {
    for number in 0..count {
        let target = &targets[(number + sender * TARGETS / SENDERS) % TARGETS];
        target.cast(FarNote::Load(vec![7; bytes])).expect("it runs");
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}
