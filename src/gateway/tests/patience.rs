//! Clients that are slow, silent, too many, or still here when the node leaves.

use std::{num::NonZeroU32, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use super::super::{
    Options,
    testing::{House, Outcome, Scripted},
};
use crate::protocol::Reply;

const CALL: &str = "POST /v1/entities/counter/visits/call";
/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

fn cuts(house: &House, reason: &str) -> u64 {
    house.metrics.connections_cut.with_label_values(&["gateway", reason]).get()
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut() {
    let house = House::with(Scripted::default(), |options| options.server.head_timeout = SHORT).await;
    let mut client = house.client().await;
    client.send_raw(b"POST /v1/entities/counter/v/call HTTP/1.1\r\nhost:").await;
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert_eq!((cuts(&house, "slow_head"), cuts(&house, "idle")), (1, 0));
}

#[tokio::test]
async fn a_connection_that_never_says_anything_is_cut() {
    let house = House::with(Scripted::default(), |options| options.server.head_timeout = SHORT).await;
    timeout(PATIENCE, house.client().await.closed()).await.unwrap();
    assert_eq!(cuts(&house, "slow_head"), 1);
}

#[tokio::test]
async fn an_idle_connection_may_rest_longer_than_a_head_may_take() {
    let limits = |options: &mut Options| {
        options.server.head_timeout = Duration::from_secs(3600);
        options.server.idle_timeout = SHORT;
    };
    let house = House::with(Scripted::default(), limits).await;
    let mut client = house.client().await;
    assert_eq!(client.ask(CALL, "{}").await.status, 200);
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert_eq!((cuts(&house, "slow_head"), cuts(&house, "idle")), (0, 1));
}

#[tokio::test]
async fn the_second_head_on_a_connection_is_timed_from_its_first_byte() {
    let limits = |options: &mut Options| {
        options.server.head_timeout = Duration::from_millis(300);
        options.server.idle_timeout = Duration::from_secs(3600);
    };
    let house = House::with(Scripted::default(), limits).await;
    let mut client = house.client().await;
    assert_eq!(client.ask(CALL, "{}").await.status, 200);
    client.send_raw(b"GET /v1").await;
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert_eq!((cuts(&house, "slow_head"), cuts(&house, "idle")), (1, 0));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let house = House::with(Scripted::default(), |options| options.requests.body_timeout = SHORT).await;
    let mut client = house.client().await;
    client
        .send_raw(b"POST /v1/entities/counter/v/call HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\n{")
        .await;
    client.answer().await.unwrap().is_problem(408, "slow_request");
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert!(house.entities.seen.lock().is_empty());
}

#[tokio::test]
async fn a_long_call_outlasts_the_idle_timeout() {
    let (reply, later) = oneshot::channel();
    let outcome = parking_lot::Mutex::new(Some(later));
    let script = Scripted::new(move |_| Outcome::Later(outcome.lock().take().unwrap()));
    let limits = |options: &mut Options| {
        options.server.head_timeout = SHORT;
        options.server.idle_timeout = SHORT;
    };
    let house = House::with(script, limits).await;
    let mut client = house.client().await;
    client.send(CALL, "{}").await;
    tokio::time::sleep(SHORT * 4).await; // The claim is about time that passes.
    reply.send(Ok(Reply { body: "{}".into(), revision: 1 })).unwrap();
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let large = "x".repeat(1024 * 1024);
    let script = Scripted::new(move |_| Outcome::Now(Ok(Reply { body: large.clone().into(), revision: 1 })));
    let house = House::with(script, |options| options.server.write_timeout = SHORT).await;
    let mut client = house.client().await;
    let request = format!("{CALL} HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{{}}");
    client.send_raw(request.repeat(64).as_bytes()).await;
    let cut = async {
        while cuts(&house, "slow_reader") == 0 {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, cut).await.unwrap();
}

#[tokio::test]
async fn the_connection_over_the_limit_is_refused_with_a_reason() {
    let limit = |options: &mut Options| options.server.connections_max = NonZeroU32::new(1).unwrap();
    let house = House::with(Scripted::default(), limit).await;
    let mut first = house.client().await;
    assert_eq!(first.ask(CALL, "{}").await.status, 200);
    let mut second = house.client().await;
    let answer = second.ask(CALL, "{}").await;
    answer.is_problem(503, "overloaded");
    assert_eq!(answer.header("connection"), "close");
    timeout(PATIENCE, second.closed()).await.unwrap();
    assert_eq!(house.metrics.connections_refused.with_label_values(&["gateway"]).get(), 1);
    drop(first);
    let seated = async { while house.ask(CALL, "{}").await.status != 200 {} };
    timeout(PATIENCE, seated).await.unwrap();
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_closes_the_rest() {
    let (reply, later) = oneshot::channel();
    let outcome = parking_lot::Mutex::new(Some(later));
    let house = House::answering(move || Outcome::Later(outcome.lock().take().unwrap())).await;
    let (mut busy, mut idle) = (house.client().await, house.client().await);
    assert_eq!(idle.ask("GET /v1/kinds", "").await.status, 200);
    busy.send(CALL, "{}").await;
    let taken = async {
        while house.entities.seen.lock().is_empty() {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, taken).await.unwrap();

    house.drain.start();
    timeout(PATIENCE, idle.closed()).await.unwrap();
    drop(idle);
    let refused = async { while tokio::net::TcpStream::connect(house.address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
    assert!(!house.serving.is_finished());

    reply.send(Ok(Reply { body: "{}".into(), revision: 1 })).unwrap();
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    timeout(PATIENCE, busy.closed()).await.unwrap();
    drop(busy);
    timeout(PATIENCE, house.serving).await.unwrap().unwrap();
    assert_eq!(house.metrics.connections.with_label_values(&["gateway"]).get(), 0);
}

#[tokio::test]
async fn a_drain_ends_even_when_a_request_does_not() {
    let script = Scripted::new(|_| Outcome::Never);
    let house = House::with(script, |options| options.server.drain_timeout = SHORT).await;
    let mut client = house.client().await;
    client.send(CALL, "{}").await;
    let taken = async {
        while house.entities.seen.lock().is_empty() {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, taken).await.unwrap();
    house.drain.start();
    timeout(PATIENCE, house.serving).await.unwrap().unwrap();
    assert_eq!(house.metrics.connections_cut.with_label_values(&["gateway", "drain"]).get(), 1);
}
