//! Starting, calling and casting on one node.

use bytes::Bytes;
use playhouse::process::Process;
use ractor::ActorRef;

use super::{ERLANG, GEN_SERVER, KAMEO, OURS, RACTOR, Run, TARGETS, TOKIO};
use crate::{
    processes::{
        PATIENCE, PER_TURN, kameo,
        ours::{self, Note},
        stage::{Stage, rated},
        stock,
    },
    rows::{call, cast},
};

const SPAWNS: usize = 50_000;
/// Callers, and how many calls all of them make together.
const CALLS: [(usize, usize); 2] = [(1, 30_000), (64, 320_000)];
const CASTS: usize = 1_000_000;
const SENDERS: usize = 2;

pub(super) fn run(run: &mut Run<'_>) {
    spawns(run);
    for (callers, calls) in CALLS {
        let work = format!("local call, {callers} callers");
        let calls = run.of(calls, callers);
        let rate = call_ours(&run.stage, callers, calls);
        run.rate(&work, OURS, rate);
        let rate = call_stock(&run.stage, callers, calls);
        run.rate(&work, RACTOR, rate);
        let rate = call_kameo(&run.stage, callers, calls);
        run.rate(&work, KAMEO, rate);
        run.erlang_rate(&work, GEN_SERVER, &format!("call {callers} {calls}"));
        run.rate(&work, TOKIO, call::channels(callers, calls));
    }
    casts(run);
}

/// What is touched for the first time has to be cleared by the system, which takes longer than a start: each of ours and of `ractor` finds
/// the memory of others that have ended before, of its own kind, as in a node that has run for a while.
fn spawns(run: &mut Run<'_>) {
    const WORK: &str = "spawn, 1 spawner";
    let count = run.effort.of(SPAWNS);
    run.stage.wait(async move { ours::stop(ours::start(count).await).await });
    let (rate, started) = rated(count, || run.stage.wait(ours::start(count)));
    run.stage.wait(async move {
        assert_eq!(ours::received(&started).await, 0, "all of them run");
        ours::stop(started).await;
    });
    run.rate(WORK, OURS, rate);
    run.stage.wait(async move { stock::stop(stock::start(count).await).await });
    let (rate, started) = rated(count, || run.stage.wait(stock::start(count)));
    run.stage.wait(async move {
        let actors: Vec<_> = started.iter().map(|(actor, _)| actor.clone()).collect();
        assert_eq!(stock::received(&actors, stock::Note::Received).await, 0, "all of them run");
        stock::stop(started).await;
    });
    run.rate(WORK, RACTOR, rate);
    let (rate, started) = rated(count, || run.stage.wait(kameo::start(count)));
    run.stage.wait(async move {
        assert_eq!(kameo::received(&started).await, 0, "all of them run");
        kameo::stop(started).await;
    });
    run.rate(WORK, KAMEO, rate);
    run.erlang_rate(WORK, GEN_SERVER, &format!("start {count}"));
    run.erlang_rate(WORK, "Erlang spawn", &format!("spawn {count}"));
}

fn call_ours(stage: &Stage, callers: usize, calls: usize) -> f64 {
    let sinks = stage.wait(ours::start(callers));
    let (rate, _) = rated(calls, || {
        stage.each(sinks.clone(), |sink| async move {
            for _ in 0..calls / callers {
                let asked = sink.call(|reply| Note::Ask(Bytes::new(), reply), PATIENCE).await;
                asked.expect("a sink answers");
            }
        })
    });
    stage.wait(async move {
        assert_eq!(ours::received(&sinks).await, calls as u64, "every call counts once");
        ours::stop(sinks).await;
    });
    rate
}

fn call_stock(stage: &Stage, callers: usize, calls: usize) -> f64 {
    let started = stage.wait(stock::start(callers));
    let sinks: Vec<_> = started.iter().map(|(sink, _)| sink.clone()).collect();
    let (rate, _) = rated(calls, || {
        stage.each(sinks.clone(), |sink| async move {
            for _ in 0..calls / callers {
                stock::answer(sink.call(stock::Note::Ask, Some(PATIENCE)).await);
            }
        })
    });
    stage.wait(async move {
        let received = stock::received(&sinks, stock::Note::Received).await;
        assert_eq!(received, calls as u64, "every call counts once");
        stock::stop(started).await;
    });
    rate
}

fn call_kameo(stage: &Stage, callers: usize, calls: usize) -> f64 {
    let sinks = stage.wait(kameo::start(callers));
    let (rate, _) = rated(calls, || {
        stage.each(sinks.clone(), |sink| async move {
            for _ in 0..calls / callers {
                kameo::ask(&sink, PATIENCE).await;
            }
        })
    });
    stage.wait(async move {
        assert_eq!(kameo::received(&sinks).await, calls as u64, "every call counts once");
        kameo::stop(sinks).await;
    });
    rate
}

fn casts(run: &mut Run<'_>) {
    let work = format!("local cast, {SENDERS} senders");
    let count = run.of(CASTS, SENDERS);
    let rate = cast_ours(&run.stage, count);
    run.rate(&work, OURS, rate);
    let rate = cast_stock(&run.stage, count);
    run.rate(&work, RACTOR, rate);
    let rate = cast_kameo(&run.stage, count);
    run.rate(&work, KAMEO, rate);
    run.erlang_rate(&work, GEN_SERVER, &format!("cast {SENDERS} {count} {TARGETS}"));
    run.erlang_rate(&work, ERLANG, &format!("send {SENDERS} {count} {TARGETS}"));
    run.rate(&work, TOKIO, cast::channel(false));
}

fn cast_ours(stage: &Stage, count: usize) -> f64 {
    let sinks = stage.wait(ours::start(TARGETS));
    let targets = sinks.clone();
    let (rate, ()) = rated(count, || {
        stage.each(0..SENDERS, |sender| send(targets.clone(), sender, count / SENDERS));
        let received = stage.wait(async move { ours::received(&targets).await });
        assert_eq!(received, count as u64, "every cast that was taken arrives");
    });
    stage.wait(ours::stop(sinks));
    rate
}

async fn send(targets: Vec<Process<Note>>, sender: usize, count: usize) {
    for number in 0..count {
        let target = &targets[(number + sender * TARGETS / SENDERS) % TARGETS];
        target.cast(Note::Count(number as u64)).await.expect("a mailbox has room for its share");
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn cast_stock(stage: &Stage, count: usize) -> f64 {
    let started = stage.wait(stock::start(TARGETS));
    let targets: Vec<_> = started.iter().map(|(sink, _)| sink.clone()).collect();
    let (rate, ()) = rated(count, || {
        stage.each(0..SENDERS, |sender| send_stock(targets.clone(), sender, count / SENDERS));
        let received = stage.wait(async move { stock::received(&targets, stock::Note::Received).await });
        assert_eq!(received, count as u64, "every cast arrives");
    });
    stage.wait(stock::stop(started));
    rate
}

async fn send_stock(targets: Vec<ActorRef<stock::Note>>, sender: usize, count: usize) {
    for number in 0..count {
        let target = &targets[(number + sender * TARGETS / SENDERS) % TARGETS];
        target.cast(stock::Note::Count(number as u64)).expect("it runs");
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn cast_kameo(stage: &Stage, count: usize) -> f64 {
    let sinks = stage.wait(kameo::start(TARGETS));
    let targets = sinks.clone();
    let (rate, ()) = rated(count, || {
        stage.each(0..SENDERS, |sender| send_kameo(targets.clone(), sender, count / SENDERS));
        let received = stage.wait(async move { kameo::received(&targets).await });
        assert_eq!(received, count as u64, "every cast that was taken arrives");
    });
    stage.wait(kameo::stop(sinks));
    rate
}

async fn send_kameo(targets: Vec<kameo::Started>, sender: usize, count: usize) {
    for number in 0..count {
        kameo::cast(&targets[(number + sender * TARGETS / SENDERS) % TARGETS], number as u64).await;
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}
