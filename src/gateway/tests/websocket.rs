//! `/v1/connect`, over real sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use super::super::{
    Options,
    testing::{House, Outcome, Scripted},
};
use crate::protocol::{CallError, Published, Reply};

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);
const UPGRADE: &str = "GET /v1/connect\nconnection: upgrade\nupgrade: websocket\nsec-websocket-version: 13\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(house: &House) -> Self {
        let stream = TcpStream::connect(house.address).await.unwrap();
        let request = format!("ws://{}/v1/connect", house.address).into_client_request().unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap()
    }

    async fn answer(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("not an answer: {other:?}"),
            }
        }
    }

    async fn close_code(&mut self) -> CloseCode {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.unwrap().code;
            }
        }
    }
}

fn call(id: impl Into<Value>, key: &str, command: Value) -> Value {
    json!({"id": id.into(), "call": {"kind": "counter", "key": key, "command": command}})
}

async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, holds).await.unwrap();
}

#[tokio::test]
async fn calls_and_casts_are_answered_with_their_ids() {
    let house = House::open().await;
    let mut socket = Socket::open(&house).await;
    socket.send(call(1, "visits", json!({"add": 1}))).await;
    assert_eq!(socket.answer().await, json!({"id": 1, "reply": {"value": 1}, "revision": 7}));
    socket
        .send(json!({"id": "two", "cast": {"kind": "counter", "key": "visits", "command": {"add": 2}}}))
        .await;
    assert_eq!(socket.answer().await, json!({"id": "two", "accepted": true}));
    let seen = house.entities.seen.lock();
    assert_eq!(
        (&seen[0].body.bytes[..], &seen[1].body.bytes[..]),
        (&br#"{"add":1}"#[..], &br#"{"add":2}"#[..])
    );
    assert_eq!((seen[0].timeout, seen[0].request_id.0.len()), (Duration::from_secs(10), 32));
}

#[tokio::test]
async fn timeout_and_idempotency_key_may_be_given() {
    let house = House::open().await;
    let mut socket = Socket::open(&house).await;
    let command =
        json!({"kind": "counter", "key": "v", "command": 1, "timeout_ms": 250, "idempotency_key": "order 1"});
    socket.send(json!({"id": 1, "call": command})).await;
    socket.answer().await;
    let seen = house.entities.seen.lock();
    assert_eq!(
        (seen[0].timeout, seen[0].request_id.to_string()),
        (Duration::from_millis(250), "order 1".to_owned())
    );
    assert_eq!(seen[0].idempotency_key.as_deref(), Some("order 1"));
}

#[tokio::test]
async fn commands_are_handed_over_in_the_order_of_their_frames() {
    let house = House::answering(|| Outcome::value(1)).await;
    let mut socket = Socket::open(&house).await;
    for number in 0..500 {
        socket.0.feed(Message::text(call(number, "visits", json!(number)).to_string())).await.unwrap();
    }
    socket.0.flush().await.unwrap();
    for _ in 0..500 {
        socket.answer().await;
    }
    let seen: Vec<u32> = house
        .entities
        .seen
        .lock()
        .iter()
        .map(|request| serde_json::from_slice(&request.body.bytes).unwrap())
        .collect();
    assert!(seen.iter().copied().eq(0..500), "{seen:?}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_one_asked_before() {
    let (reply, later) = oneshot::channel();
    let later = Mutex::new(Some(later));
    let script = Scripted::new(move |request| match request.target.key.as_str() {
        "slow" => Outcome::Later(later.lock().take().unwrap()),
        _ => Outcome::value(2),
    });
    let house = House::with(script, |_| {}).await;
    let mut socket = Socket::open(&house).await;
    socket.send(call("first", "slow", json!(1))).await;
    socket.send(call("second", "fast", json!(1))).await;
    assert_eq!(socket.answer().await["id"], "second");
    reply.send(Ok(Reply { body: "{}".into(), revision: 1 })).unwrap();
    assert_eq!(socket.answer().await["id"], "first");
}

#[tokio::test]
async fn an_error_is_the_same_problem_as_over_http() {
    let house = House::answering(|| Outcome::Now(Err(CallError::Crashed))).await;
    let mut socket = Socket::open(&house).await;
    socket.send(call(1, "v", json!(1))).await;
    let answer = socket.answer().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&1.into(), &"crashed".into()));
    assert_eq!(answer["error"]["request_id"], house.entities.seen.lock()[0].request_id.to_string());
}

#[tokio::test]
async fn a_passed_deadline_is_told() {
    let house = House::answering(|| Outcome::Never).await;
    let mut socket = Socket::open(&house).await;
    socket
        .send(json!({"id": 1, "call": {"kind": "counter", "key": "v", "command": 1, "timeout_ms": 20}}))
        .await;
    assert_eq!(socket.answer().await["error"]["code"], "deadline_exceeded");
}

#[tokio::test]
async fn a_bad_frame_is_answered_and_the_connection_stays() {
    let house = House::open().await;
    let mut socket = Socket::open(&house).await;
    let bad = |kind: &str, key: &str| {
        json!({"id": 9, "call": {"kind": kind, "key": key, "command": 1}}).to_string()
    };
    let with = |field: &str, value: Value| {
        let mut command = json!({"kind": "counter", "key": "v", "command": 1});
        command[field] = value;
        json!({"id": 9, "cast": command}).to_string()
    };
    for (frame, id, code, path) in [
        ("{".to_owned(), Value::Null, "invalid_body", json!(".")),
        ("[1]".to_owned(), Value::Null, "invalid_body", json!(".")),
        (r#"{"id":9}"#.to_owned(), 9.into(), "invalid_body", json!(".")),
        (r#"{"id":9,"call":{}}"#.to_owned(), 9.into(), "invalid_body", json!(".call")),
        (r#"{"id":9,"unsubscribe":{}}"#.to_owned(), 9.into(), "invalid_body", json!(".id")),
        (bad("Counter", "v"), 9.into(), "invalid_kind", Value::Null),
        (bad("counter", ""), 9.into(), "invalid_key", Value::Null),
        (bad("counter", "a\nb"), 9.into(), "invalid_key", Value::Null),
        (with("timeout_ms", json!(0)), 9.into(), "invalid_body", json!(".cast.timeout_ms")),
        (with("timeout_ms", json!(60_001)), 9.into(), "invalid_body", json!(".cast.timeout_ms")),
        (with("idempotency_key", json!("ä")), 9.into(), "invalid_body", json!(".cast.idempotency_key")),
    ] {
        socket.send_text(&frame).await;
        let answer = socket.answer().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &code.into()), "{frame}");
        assert_eq!(answer["error"]["path"], path, "{frame}");
    }
    socket.0.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(socket.answer().await["error"]["code"], "invalid_body");
    assert!(house.entities.seen.lock().is_empty());
    socket.send(call(10, "v", json!(1))).await;
    assert_eq!(socket.answer().await["reply"]["value"], 1);
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_with_1009() {
    let house = House::with(Scripted::default(), |options| options.requests.body_bytes_max = 1024).await;
    let mut socket = Socket::open(&house).await;
    socket.send(call(1, "v", json!("x".repeat(2000)))).await;
    assert_eq!(socket.close_code().await, CloseCode::Size);
    assert!(house.entities.seen.lock().is_empty());
}

#[tokio::test]
async fn what_is_not_websocket_closes_with_1002() {
    let house = House::open().await;
    let mut client = house.client().await;
    assert_eq!(client.ask(UPGRADE, "").await.status, 101);
    client.send_raw(&[0x81, 0x01, b'x']).await; // A client's frame must be masked.
    let closed = timeout(PATIENCE, client.rest()).await.unwrap();
    assert_eq!(closed[..4], [0x88, closed[1], 0x03, 0xEA]); // 1002
}

#[tokio::test]
async fn a_subscription_brings_items_gaps_and_its_own_end() {
    let items = vec![
        Published::Gap { first: 40 },
        Published::Item { revision: 40, item: r#"{"text":"hi"}"#.into() },
        Published::Item { revision: 41, item: "2".into() },
    ];
    let house = House::with(Scripted::with_items(items, false), |_| {}).await;
    let mut socket = Socket::open(&house).await;
    socket.send(json!({"id": 3, "subscribe": {"kind": "room", "key": "lobby", "after": 17}})).await;
    assert_eq!(socket.answer().await, json!({"id": 3, "subscribed": true, "revision": 17}));
    assert_eq!(socket.answer().await, json!({"id": 3, "gap": {"first": 40}}));
    assert_eq!(socket.answer().await, json!({"id": 3, "item": {"text": "hi"}, "revision": 40}));
    assert_eq!(socket.answer().await, json!({"id": 3, "item": 2, "revision": 41}));
    assert_eq!(socket.answer().await, json!({"id": 3, "ended": {"reason": "stopped"}}));
    socket.send(json!({"id": 3, "unsubscribe": {}})).await;
    assert_eq!(socket.answer().await["error"]["path"], ".id");
}

#[tokio::test]
async fn a_subscription_ends_when_it_is_asked_to_and_its_id_is_free_again() {
    let house = House::with(Scripted::with_items(Vec::new(), true), |_| {}).await;
    let mut socket = Socket::open(&house).await;
    let subscribe = json!({"id": 3, "subscribe": {"kind": "room", "key": "lobby"}});
    socket.send(subscribe.clone()).await;
    assert_eq!(socket.answer().await["subscribed"], true);
    socket.send(subscribe.clone()).await;
    assert_eq!(socket.answer().await["error"]["path"], ".id");
    socket.send(json!({"id": 3, "unsubscribe": {}})).await;
    assert_eq!(socket.answer().await, json!({"id": 3, "ended": {"reason": "unsubscribed"}}));
    socket.send(subscribe).await;
    assert_eq!(socket.answer().await["subscribed"], true);
}

#[tokio::test]
async fn a_subscription_that_cannot_begin_is_a_problem() {
    let house = House::with(Scripted::with_items(Vec::new(), true), |options| {
        options.websocket.subscriptions_max = 1
    })
    .await;
    let mut socket = Socket::open(&house).await;
    socket.send(json!({"id": 3, "subscribe": {"kind": "room", "key": "lobby", "after": u64::MAX}})).await;
    assert_eq!(socket.answer().await["error"]["code"], "subscription");
    socket.send(json!({"id": 4, "subscribe": {"kind": "room", "key": "lobby"}})).await;
    assert_eq!(socket.answer().await["subscribed"], true);
    socket.send(json!({"id": 5, "subscribe": {"kind": "room", "key": "lobby"}})).await;
    assert_eq!(socket.answer().await["error"]["code"], "overloaded");
}

#[tokio::test]
async fn the_server_pings_and_closes_whoever_does_not_answer() {
    let limits = |options: &mut Options| {
        options.websocket.ping_interval = Duration::from_millis(20);
        // Long enough for a busy machine to answer in.
        options.websocket.silence_max = Duration::from_secs(3);
    };
    let house = House::with(Scripted::default(), limits).await;
    let mut mute = house.client().await;
    assert_eq!(mute.ask(UPGRADE, "").await.status, 101);
    let said = timeout(PATIENCE, mute.rest()).await.unwrap();
    assert_eq!(said[..2], [0x89, 0x00]); // A ping.
    assert!(said.windows(4).any(|four| four[0] == 0x88 && four[2..] == [0x03, 0xF0])); // 1008
    drop(mute);

    let mut lively = Socket::open(&house).await;
    for _ in 0..10 {
        assert!(matches!(lively.message().await, Message::Ping(_)));
    }
    lively.send(call(1, "v", json!(1))).await;
    assert_eq!(lively.answer().await["id"], 1);
}

/// All clients of a node that was frozen would be cut off at once, though what they sent had arrived.
#[tokio::test]
async fn what_a_client_sent_while_the_node_slept_counts() {
    const SILENCE: Duration = Duration::from_secs(2);
    let limits = |options: &mut Options| {
        options.websocket.ping_interval = SILENCE / 4;
        options.websocket.silence_max = SILENCE;
    };
    let house = House::with(Scripted::default(), limits).await;
    let mut socket = Socket::open(&house).await;
    socket.send(call(1, "v", json!(1))).await;
    // The only thread of client and node.
    std::thread::sleep(SILENCE + SILENCE / 4);
    assert_eq!(socket.answer().await["id"], 1);
    socket.send(call(2, "v", json!(1))).await;
    assert_eq!(socket.answer().await["id"], 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_1013() {
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    let script = Scripted::new(move |_| Outcome::Now(Ok(Reply { body: large.clone().into(), revision: 1 })));
    let house = House::with(script, |options| options.websocket.stall_timeout = SHORT).await;
    let mut socket = Socket::open(&house).await;
    for number in 0..64 {
        socket.send(call(number, "v", json!(1))).await;
    }
    until(|| house.metrics.websocket_overflows.get() == 1).await;
    assert_eq!(socket.close_code().await, CloseCode::Again);
    drop(socket);
    until(|| house.metrics.websockets.get() == 0).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let script = Scripted::with_items(
        (1..=2000)
            .map(|revision| Published::Item { revision, item: format!("\"{}\"", "x".repeat(4096)).into() })
            .collect(),
        true,
    );
    let house = House::with(script, |options| options.websocket.queue_messages_max = 2).await;
    let mut socket = Socket::open(&house).await;
    socket.send(json!({"id": 1, "subscribe": {"kind": "room", "key": "lobby"}})).await;
    assert_eq!(socket.answer().await["subscribed"], true);
    for revision in 1..=2000 {
        assert_eq!(socket.answer().await["revision"], revision);
    }
    assert_eq!(house.metrics.websocket_overflows.get(), 0);
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let house =
        House::with(Scripted::new(|_| Outcome::Never), |options| options.websocket.requests_max = 2).await;
    let mut socket = Socket::open(&house).await;
    for number in 1..=3 {
        socket.send(call(number, "v", json!(1))).await;
    }
    let answer = socket.answer().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&3.into(), &"overloaded".into()));
    assert_eq!(house.entities.seen.lock().len(), 2);
}

#[tokio::test]
async fn a_drain_closes_with_1001_after_the_replies_under_way() {
    let (reply, later) = oneshot::channel();
    let later = Mutex::new(Some(later));
    let house = House::answering(move || Outcome::Later(later.lock().take().unwrap())).await;
    let mut socket = Socket::open(&house).await;
    let mut quiet = Socket::open(&house).await;
    socket.send(call(1, "v", json!(1))).await;
    until(|| !house.entities.seen.lock().is_empty()).await;
    house.drain.start();
    assert_eq!(quiet.close_code().await, CloseCode::Away);
    assert!(!house.serving.is_finished());
    reply.send(Ok(Reply { body: "{}".into(), revision: 1 })).unwrap();
    assert_eq!(socket.answer().await["id"], 1);
    assert_eq!(socket.close_code().await, CloseCode::Away);
    drop((socket, quiet));
    timeout(PATIENCE, house.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_even_when_a_request_does_not() {
    let script = Scripted::new(|_| Outcome::Never);
    let house = House::with(script, |options| options.server.drain_timeout = SHORT).await;
    let mut socket = Socket::open(&house).await;
    socket.send(call(1, "v", json!(1))).await;
    until(|| !house.entities.seen.lock().is_empty()).await;
    house.drain.start();
    timeout(PATIENCE, house.serving).await.unwrap().unwrap();
    assert_eq!(house.metrics.websockets.get(), 0);
}

#[tokio::test]
async fn a_plain_request_is_told_what_the_route_is_for() {
    let house = House::open().await;
    house.ask("GET /v1/connect", "").await.is_problem(400, "invalid_header");
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_connect() {
    let house = House::open().await;
    let foreign = format!("{UPGRADE}\norigin: https://elsewhere.example");
    house.ask(&foreign, "").await.is_problem(403, "forbidden_origin");
    assert_eq!(house.ask(&format!("{UPGRADE}\norigin: http://test"), "").await.status, 101);
}
