//! A queue that a process holds: as many items go in as come out, by casts and by calls.

use playhouse::process::{self, Process};

use super::{GEN_SERVER, OURS, RACTOR, Run, TOKIO};
use crate::{
    processes::{
        PATIENCE, PER_TURN,
        ours::{self, Use, roomy},
        stage::{Stage, rated},
        stock::{self, Started},
    },
    rows::{call, cast},
};

const CASTS: usize = 1_000_000;
const SENDERS: usize = 2;
const CALLS: usize = 320_000;
const CALLERS: usize = 64;

pub(super) fn run(run: &mut Run<'_>) {
    let casts = format!("queue in and out by cast, {SENDERS} senders");
    let calls = format!("queue in and out by call, {CALLERS} callers");
    let (sent, asked) = (run.of(CASTS, 2 * SENDERS), run.of(CALLS, 2 * CALLERS));
    let rate = by_cast(&run.stage, sent);
    run.rate(&casts, OURS, rate);
    let rate = by_cast_stock(&run.stage, sent);
    run.rate(&casts, RACTOR, rate);
    run.erlang_rate(&casts, GEN_SERVER, &format!("queue_cast {SENDERS} {sent}"));
    run.rate(&casts, TOKIO, cast::channel(false));
    let rate = by_call(&run.stage, asked);
    run.rate(&calls, OURS, rate);
    let rate = by_call_stock(&run.stage, asked);
    run.rate(&calls, RACTOR, rate);
    run.erlang_rate(&calls, GEN_SERVER, &format!("queue_call {CALLERS} {asked}"));
    run.rate(&calls, TOKIO, call::one_channel(CALLERS, asked));
}

fn start(stage: &Stage) -> Process<Use> {
    stage.wait(async { process::spawn(ours::Queue, (), roomy()).await.expect("it starts") })
}

async fn handled(queue: Process<Use>, count: usize) {
    let handled = queue.call(Use::Handled, PATIENCE).await;
    assert_eq!(handled, Ok(count as u64), "every operation counts once");
}

fn by_cast(stage: &Stage, count: usize) -> f64 {
    let queue = start(stage);
    let (rate, ()) = rated(count, || {
        stage.each([queue.clone(), queue.clone()], |queue| async move {
            for number in 0..count / 2 / SENDERS {
                queue.cast(Use::In(number as u64, None)).await.expect("there is room");
                queue.cast(Use::Out(None)).await.expect("there is room");
                if number % (PER_TURN / 2) == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        stage.wait(handled(queue.clone(), count));
    });
    stage.wait(ours::stop(vec![queue]));
    rate
}

fn by_call(stage: &Stage, count: usize) -> f64 {
    let queue = start(stage);
    let (rate, _) = rated(count, || {
        stage.each((0..CALLERS).map(|_| queue.clone()), |queue| async move {
            for number in 0..count / 2 / CALLERS {
                let put = queue.call(|reply| Use::In(number as u64, Some(reply)), PATIENCE).await;
                put.expect("it answers");
                let item = queue.call(|reply| Use::Out(Some(reply)), PATIENCE).await;
                assert!(item.expect("it answers").is_some(), "what went in comes out");
            }
        })
    });
    stage.wait(handled(queue.clone(), count));
    stage.wait(ours::stop(vec![queue]));
    rate
}

async fn handled_stock(queue: &Started<stock::Use>, count: usize) {
    let handled = stock::answer(queue.0.call(stock::Use::Handled, Some(PATIENCE)).await);
    assert_eq!(handled, count as u64, "every operation counts once");
}

fn by_cast_stock(stage: &Stage, count: usize) -> f64 {
    let queue = stage.wait(stock::start_one(stock::Queue));
    let (rate, queue) = rated(count, || {
        stage.each((0..SENDERS).map(|_| queue.0.clone()), |queue| async move {
            for number in 0..count / 2 / SENDERS {
                queue.cast(stock::Use::In(number as u64, None)).expect("it runs");
                queue.cast(stock::Use::Out(None)).expect("it runs");
                if number % (PER_TURN / 2) == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        stage.wait(async move {
            handled_stock(&queue, count).await;
            queue
        })
    });
    stage.wait(stock::stop(vec![queue]));
    rate
}

fn by_call_stock(stage: &Stage, count: usize) -> f64 {
    let queue = stage.wait(stock::start_one(stock::Queue));
    let (rate, _) = rated(count, || {
        stage.each((0..CALLERS).map(|_| queue.0.clone()), |queue| async move {
            for number in 0..count / 2 / CALLERS {
                let put = |reply| stock::Use::In(number as u64, Some(reply));
                stock::answer(queue.call(put, Some(PATIENCE)).await);
                let take = |reply| stock::Use::Out(Some(reply));
                let item = stock::answer(queue.call(take, Some(PATIENCE)).await);
                assert!(item.is_some(), "what went in comes out");
            }
        })
    });
    stage.wait(async move {
        handled_stock(&queue, count).await;
        stock::stop(vec![queue]).await;
    });
    rate
}
