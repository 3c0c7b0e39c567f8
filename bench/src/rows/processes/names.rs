//! Names of one node.

use std::sync::Arc;

use playhouse::process::{Names, Process};
use ractor::{Actor, ActorRef};

use super::{ERLANG, OURS, RACTOR, Run, TARGETS};
use crate::{
    processes::{
        PER_TURN,
        ours::{self, Note},
        stage::{Stage, rated},
        stock,
    },
    rows::key,
};

const LOOKUPS: usize = 4_000_000;
const SENDS: usize = 1_000_000;
const REGISTRATIONS: usize = 50_000;
const PAIRS: usize = 400_000;
/// Who looks, sends, or registers at once.
const CALLERS: usize = 2;

pub(super) fn run(run: &mut Run<'_>) {
    let (lookups, sends) = (run.of(LOOKUPS, CALLERS), run.of(SENDS, CALLERS));
    let (look, send) =
        (format!("look-up of a name, {CALLERS} callers"), format!("send to a name, {CALLERS} senders"));
    let (rate, sent) = ours(&run.stage, lookups, sends);
    run.rate(&look, OURS, rate);
    run.rate(&send, OURS, sent);
    let (rate, sent) = stock(&run.stage, lookups, sends);
    run.rate(&look, RACTOR, rate);
    run.rate(&send, RACTOR, sent);
    run.erlang_rate(&look, ERLANG, &format!("whereis {CALLERS} {lookups} {TARGETS}"));
    run.erlang_rate(&send, ERLANG, &format!("send_name {CALLERS} {sends} {TARGETS}"));
    registrations(run);
}

/// Names, for many tasks.
fn keys(count: usize) -> Arc<Vec<String>> {
    Arc::new((0..count).map(key).collect())
}

fn at(number: usize, caller: usize) -> usize {
    (number + caller * TARGETS / CALLERS) % TARGETS
}

/// Look-ups, and sends.
fn ours(stage: &Stage, lookups: usize, sends: usize) -> (f64, f64) {
    let (names, keys, sinks) = (Names::new(), keys(TARGETS), stage.wait(ours::start(TARGETS)));
    for (key, sink) in keys.iter().zip(&sinks) {
        names.register(key, sink).expect("it is free");
    }
    let (looked, _) = rated(lookups, || {
        stage.each(0..CALLERS, |caller| look(names.clone(), Arc::clone(&keys), caller, lookups / CALLERS))
    });
    let (sent, ()) = rated(sends, || {
        stage.each(0..CALLERS, |sender| send(names.clone(), Arc::clone(&keys), sender, sends / CALLERS));
        let all = sinks.clone();
        let received = stage.wait(async move { ours::received(&all).await });
        assert_eq!(received, sends as u64, "every cast that was taken arrives");
    });
    stage.wait(ours::stop(sinks));
    assert_eq!(names.registered(), [], "the names of processes that ended are free");
    (looked, sent)
}

async fn look(names: Names, keys: Arc<Vec<String>>, caller: usize, count: usize) {
    for number in 0..count {
        let found: Option<Process<Note>> = names.whereis(&keys[at(number, caller)]);
        assert!(found.is_some(), "it has this name");
    }
}

async fn send(names: Names, keys: Arc<Vec<String>>, sender: usize, count: usize) {
    for number in 0..count {
        let target: Option<Process<Note>> = names.whereis(&keys[at(number, sender)]);
        let cast = target.expect("it has this name").cast(Note::Count(number as u64)).await;
        cast.expect("a mailbox has room for its share");
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn stock(stage: &Stage, lookups: usize, sends: usize) -> (f64, f64) {
    let keys = keys(TARGETS);
    let named = Arc::clone(&keys);
    let started = stage.wait(async move {
        let mut started = Vec::new();
        for key in named.iter() {
            let spawned = Actor::spawn(Some(key.clone()), stock::Sink, ()).await;
            started.push(spawned.expect("the name is free"));
        }
        started
    });
    let (looked, _) = rated(lookups, || {
        stage.each(0..CALLERS, |caller| look_stock(Arc::clone(&keys), caller, lookups / CALLERS))
    });
    let sinks: Vec<_> = started.iter().map(|(sink, _)| sink.clone()).collect();
    let (sent, ()) = rated(sends, || {
        stage.each(0..CALLERS, |sender| send_stock(Arc::clone(&keys), sender, sends / CALLERS));
        let received = stage.wait(async move { stock::received(&sinks, stock::Note::Received).await });
        assert_eq!(received, sends as u64, "every cast arrives");
    });
    stage.wait(stock::stop(started));
    (looked, sent)
}

fn found(key: &String) -> ActorRef<stock::Note> {
    ActorRef::where_is(key).expect("it has this name")
}

async fn look_stock(keys: Arc<Vec<String>>, caller: usize, count: usize) {
    for number in 0..count {
        drop(found(&keys[at(number, caller)]));
    }
}

async fn send_stock(keys: Arc<Vec<String>>, sender: usize, count: usize) {
    for number in 0..count {
        found(&keys[at(number, sender)]).cast(stock::Note::Count(number as u64)).expect("it runs");
        if number % PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// `ractor` gives names at the start of an actor only, and takes them at its end.
fn registrations(run: &mut Run<'_>) {
    const REGISTER: &str = "registrations of names, 1 caller";
    let (count, pairs) = (run.effort.of(REGISTRATIONS), run.of(PAIRS, CALLERS));
    let both = format!("register + unregister of a name, {CALLERS} callers");
    let rate = register(&run.stage, count);
    run.rate(REGISTER, OURS, rate);
    run.erlang_rate(REGISTER, ERLANG, &format!("register {count}"));
    let rate = register_unregister(&run.stage, pairs);
    run.rate(&both, OURS, rate);
    run.erlang_rate(&both, ERLANG, &format!("register_unregister {CALLERS} {pairs}"));
}

fn register(stage: &Stage, count: usize) -> f64 {
    let (names, keys, sinks) = (Names::new(), keys(count), stage.wait(ours::start(count)));
    let (given, all, those) = (names.clone(), sinks.clone(), Arc::clone(&keys));
    let (rate, ()) = rated(count, || {
        stage.wait(async move {
            for (key, sink) in those.iter().zip(&all) {
                given.register(key, sink).expect("it is free");
            }
        });
    });
    let all_found = keys.iter().zip(&sinks).all(|(key, sink)| names.whereis(key).as_ref() == Some(sink));
    assert!(all_found, "each has its name");
    stage.wait(ours::stop(sinks));
    rate
}

fn register_unregister(stage: &Stage, pairs: usize) -> f64 {
    let (names, sinks) = (Names::new(), stage.wait(ours::start(CALLERS)));
    let (rate, _) = rated(pairs, || {
        stage.each(sinks.iter().cloned().enumerate(), |(caller, sink)| {
            let (names, key) = (names.clone(), key(caller));
            async move {
                for _ in 0..pairs / CALLERS {
                    names.register(&key, &sink).expect("it is free");
                    assert!(names.unregister(&key), "it was given");
                }
            }
        })
    });
    assert_eq!(names.registered(), []);
    stage.wait(ours::stop(sinks));
    rate
}
