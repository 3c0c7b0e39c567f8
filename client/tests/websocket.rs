//! The client over WebSocket. Each test plays the server itself, frame by frame.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{SinkExt, StreamExt};
use playhouse_client::{
    CallError, Client, Config, ConnectError, Connection, Failure, Idempotency, Notice, Options, Outcome,
    PendingCall, SubscribeError, Subscription, SubscriptionEnd,
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

struct Server {
    listener: TcpListener,
}

/// The server's end of one connection.
struct Peer {
    stream: WebSocketStream<TcpStream>,
}

impl Server {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn config(&self) -> Config {
        let address = format!("http://{}", self.listener.local_addr().unwrap());
        let mut config = Config::new([address]).unwrap();
        config.timeout = Duration::from_secs(5);
        config.backoff.first = Duration::from_millis(5);
        config.backoff.max = Duration::from_millis(20);
        config
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Peer { stream: accept_async(stream).await.unwrap() }
    }

    async fn connect(&self, config: Config) -> (Connection, Peer) {
        let client = Client::new(config).unwrap();
        let (connection, peer) = tokio::join!(client.connect(), self.accept());
        (connection.unwrap(), peer)
    }
}

impl Peer {
    async fn receive(&mut self) -> Value {
        match self.stream.next().await.unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a text: {other:?}"),
        }
    }

    async fn send(&mut self, value: Value) {
        self.stream.send(Message::text(value.to_string())).await.unwrap();
    }
}

async fn begin(connection: &Connection, command: u64) -> PendingCall<Value> {
    begin_with(connection, command, &Options::default()).await
}

async fn begin_with(connection: &Connection, command: u64, options: &Options) -> PendingCall<Value> {
    connection.entity("counter", "visits").unwrap().begin_call(&command, options).await.unwrap()
}

fn command(frame: &Value) -> u64 {
    frame["call"]["command"].as_u64().unwrap()
}

#[tokio::test]
async fn commands_go_in_order_and_answers_find_their_call_in_any_order() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let first = begin(&connection, 1).await;
    let second = begin(&connection, 2).await;

    let (one, two) = (peer.receive().await, peer.receive().await);
    assert_eq!((command(&one), command(&two)), (1, 2));
    assert_eq!(
        (one["call"]["kind"].as_str(), one["call"]["key"].as_str()),
        (Some("counter"), Some("visits"))
    );
    assert!(one["call"]["timeout_ms"].as_u64().unwrap() <= 5000);
    assert_ne!(one["call"]["idempotency_key"], two["call"]["idempotency_key"]);

    peer.send(json!({"id": two["id"], "reply": "second", "revision": 9})).await;
    peer.send(json!({"id": one["id"], "reply": null, "revision": 8})).await;
    let second = second.reply().await.unwrap();
    assert_eq!((second.reply, second.revision), (json!("second"), Some(9)));
    assert_eq!(first.reply().await.unwrap().reply, Value::Null);
}

#[tokio::test]
async fn a_cast_is_accepted_or_refused() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let entity = connection.entity("counter", "visits").unwrap();
    let serve = async {
        let frame = peer.receive().await;
        assert_eq!(frame["cast"]["command"], json!({"add": 1}));
        peer.send(json!({"id": frame["id"], "accepted": true})).await;
        let frame = peer.receive().await;
        let problem = json!({"status": 422, "code": "refused", "refusal": "overflow", "detail": "too much"});
        peer.send(json!({"id": frame["id"], "error": problem})).await;
    };
    let ask = async {
        entity.cast(&json!({"add": 1})).await.unwrap();
        entity.call::<_, Value>(&json!({"add": 2})).await
    };
    let (refused, ()) = tokio::join!(ask, serve);
    assert!(matches!(refused, Err(CallError::Refused(refusal)) if refusal.code == "overflow"));
}

#[tokio::test]
async fn after_a_lost_connection_the_unanswered_is_sent_again_in_order_with_the_same_keys() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let pending = [begin(&connection, 1).await, begin(&connection, 2).await, begin(&connection, 3).await];
    let before = [peer.receive().await, peer.receive().await, peer.receive().await];
    peer.send(json!({"id": before[1]["id"], "reply": 2})).await;
    let [first, second, third] = pending;
    assert_eq!(second.reply().await.unwrap().reply, json!(2));
    drop(peer);

    let mut peer = server.accept().await;
    let again = [peer.receive().await, peer.receive().await];
    assert_eq!((command(&again[0]), command(&again[1])), (1, 3), "what was answered is not sent again");
    assert_eq!(again[0]["call"]["idempotency_key"], before[0]["call"]["idempotency_key"]);
    assert_eq!(again[1]["call"]["idempotency_key"], before[2]["call"]["idempotency_key"]);
    for frame in again {
        peer.send(json!({"id": frame["id"], "reply": command(&frame)})).await;
    }
    assert_eq!(first.reply().await.unwrap().reply, json!(1));
    assert_eq!(third.reply().await.unwrap().reply, json!(3));
}

#[tokio::test]
async fn what_has_no_key_and_may_have_happened_is_not_sent_again() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let off = Options { idempotency: Idempotency::Off, ..Options::default() };
    let pending = begin_with(&connection, 1, &off).await;
    assert!(peer.receive().await["call"].get("idempotency_key").is_none());
    drop(peer);

    let Err(CallError::GaveUp(gave_up)) = pending.reply().await else { panic!("no error") };
    assert_eq!((gave_up.attempts, gave_up.outcome), (1, Outcome::Unknown));
    assert!(matches!(gave_up.last, Failure::Broken { .. }));

    let mut peer = server.accept().await;
    let _next = begin(&connection, 2).await;
    assert_eq!(command(&peer.receive().await), 2);
}

#[tokio::test]
async fn what_a_draining_node_turned_away_goes_to_the_next_connection() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let pending = begin(&connection, 1).await;
    let frame = peer.receive().await;
    let problem = json!({"status": 503, "code": "draining"});
    peer.send(json!({"id": frame["id"], "error": problem})).await;
    peer.stream.close(None).await.unwrap();

    let mut peer = server.accept().await;
    let again = peer.receive().await;
    assert_eq!(again["call"]["idempotency_key"], frame["call"]["idempotency_key"]);
    peer.send(json!({"id": again["id"], "reply": "done"})).await;
    assert_eq!(pending.reply().await.unwrap().reply, json!("done"));
}

#[tokio::test]
async fn an_overloaded_entity_is_the_callers_business_because_of_the_order() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let pending = begin(&connection, 1).await;
    let frame = peer.receive().await;
    let key = frame["call"]["idempotency_key"].as_str().unwrap().to_owned();
    peer.send(json!({"id": frame["id"], "error": {"status": 503, "code": "overloaded"}})).await;

    let Err(CallError::GaveUp(gave_up)) = pending.reply().await else { panic!("no error") };
    assert_eq!(gave_up.outcome, Outcome::NothingHappened);
    assert_eq!(gave_up.idempotency_key.unwrap().as_str(), key);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_timeout() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let short = Options { timeout: Some(Duration::from_millis(50)), ..Options::default() };
    let pending = begin_with(&connection, 1, &short).await;
    let frame = peer.receive().await;
    let Err(CallError::GaveUp(gave_up)) = pending.reply().await else { panic!("no error") };
    assert_eq!(gave_up.outcome, Outcome::Unknown);

    // Its answer may still come, and concerns nobody.
    peer.send(json!({"id": frame["id"], "reply": "late"})).await;
    let next = begin(&connection, 2).await;
    let frame = peer.receive().await;
    peer.send(json!({"id": frame["id"], "reply": "next"})).await;
    assert_eq!(next.reply().await.unwrap().reply, json!("next"));
}

#[tokio::test]
async fn so_many_may_be_unanswered_and_no_more() {
    let server = Server::start().await;
    let mut config = server.config();
    config.in_flight_max = NonZeroUsize::new(2).unwrap();
    let (connection, mut peer) = server.connect(config).await;
    let pending = [begin(&connection, 1).await, begin(&connection, 2).await, begin(&connection, 3).await];
    let first = peer.receive().await;
    assert_eq!((command(&first), command(&peer.receive().await)), (1, 2));

    // The third was not sent: only the answer to the first makes room.
    let silence = tokio::time::timeout(Duration::from_millis(100), peer.receive()).await;
    assert!(silence.is_err());
    peer.send(json!({"id": first["id"], "reply": 1})).await;
    assert_eq!(command(&peer.receive().await), 3);
    drop(pending);
}

#[tokio::test]
async fn a_command_over_the_limit_is_refused_here_and_costs_no_other_its_connection() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let entity = connection.entity("document", "large").unwrap();
    let outcome = entity.call::<_, Value>(&"x".repeat(1 << 20)).await;
    assert!(matches!(outcome, Err(CallError::Rejected(problem)) if problem.code == "too_large"));
    let _pending = begin(&connection, 1).await;
    assert_eq!(command(&peer.receive().await), 1);
}

async fn subscribe(
    connection: &Connection,
    peer: &mut Peer,
    after: Option<u64>,
) -> (Subscription<Value>, Value) {
    let room = connection.entity("room", "lobby").unwrap();
    let serve = async {
        let frame = peer.receive().await;
        peer.send(json!({"id": frame["id"], "subscribed": true})).await;
        frame
    };
    let (subscription, frame) = tokio::join!(room.subscribe(after), serve);
    (subscription.unwrap(), frame)
}

#[tokio::test]
async fn a_subscription_goes_on_behind_the_last_item_after_a_lost_connection() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let (mut subscription, frame) = subscribe(&connection, &mut peer, Some(17)).await;
    assert_eq!(frame["subscribe"], json!({"kind": "room", "key": "lobby", "after": 17}));
    let id = frame["id"].clone();
    peer.send(json!({"id": id, "gap": {"first": 40}})).await;
    peer.send(json!({"id": id, "item": "a", "revision": 40})).await;
    assert_eq!(subscription.next().await.unwrap(), Notice::Gap { first: 40 });
    assert_eq!(subscription.next().await.unwrap(), Notice::Item { revision: 40, item: json!("a") });
    drop(peer);

    let mut peer = server.accept().await;
    let frame = peer.receive().await;
    assert_eq!(frame["subscribe"]["after"], 40);
    peer.send(json!({"id": frame["id"], "subscribed": true})).await;
    // At least once: what comes twice is handed over once.
    peer.send(json!({"id": frame["id"], "item": "a", "revision": 40})).await;
    peer.send(json!({"id": frame["id"], "item": "b", "revision": 41})).await;
    assert_eq!(subscription.next().await.unwrap(), Notice::Item { revision: 41, item: json!("b") });
}

#[tokio::test]
async fn an_interrupted_subscription_is_asked_for_again_until_it_goes_on() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let (mut subscription, frame) = subscribe(&connection, &mut peer, Some(4)).await;
    let id = frame["id"].clone();
    peer.send(json!({"id": id, "item": "a", "revision": 5})).await;
    peer.send(json!({"id": id, "ended": {"reason": "stopped"}})).await;
    assert_eq!(peer.receive().await["subscribe"]["after"], 5);
    peer.send(json!({"id": id, "error": {"status": 503, "code": "unavailable"}})).await;
    assert_eq!(peer.receive().await["subscribe"]["after"], 5);
    peer.send(json!({"id": id, "subscribed": true})).await;
    peer.send(json!({"id": id, "item": "b", "revision": 6})).await;
    assert_eq!(subscription.next().await.unwrap(), Notice::Item { revision: 5, item: json!("a") });
    assert_eq!(subscription.next().await.unwrap(), Notice::Item { revision: 6, item: json!("b") });
}

#[tokio::test]
async fn a_dropped_subscription_is_taken_back() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let (subscription, frame) = subscribe(&connection, &mut peer, None).await;
    assert!(frame["subscribe"].get("after").is_none());
    drop(subscription);
    let request = peer.receive().await;
    assert_eq!(request, json!({"id": frame["id"], "unsubscribe": {}}));
}

#[tokio::test]
async fn who_does_not_listen_in_time_is_told_and_costs_nobody_else() {
    let server = Server::start().await;
    let mut config = server.config();
    config.notices_max = NonZeroUsize::new(2).unwrap();
    let (connection, mut peer) = server.connect(config).await;
    let (mut subscription, frame) = subscribe(&connection, &mut peer, None).await;
    for revision in 1..=3 {
        peer.send(json!({"id": frame["id"], "item": revision, "revision": revision})).await;
    }
    assert_eq!(peer.receive().await["unsubscribe"], json!({}));
    for revision in 1..=2 {
        assert_eq!(subscription.next().await.unwrap(), Notice::Item { revision, item: json!(revision) });
    }
    let end = subscription.next().await.unwrap_err();
    assert!(matches!(end, SubscriptionEnd::TooSlow { last_revision: Some(2) }), "{end:?}");

    let pending = begin(&connection, 1).await;
    let frame = peer.receive().await;
    peer.send(json!({"id": frame["id"], "reply": 1})).await;
    assert!(pending.reply().await.is_ok());
}

#[tokio::test]
async fn the_server_may_end_or_refuse_a_subscription() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let (mut subscription, frame) = subscribe(&connection, &mut peer, None).await;
    peer.send(json!({"id": frame["id"], "ended": {"reason": "room closed"}})).await;
    let end = subscription.next().await.unwrap_err();
    assert!(matches!(end, SubscriptionEnd::Server(reason) if reason == "room closed"));

    let counter = connection.entity("counter", "visits").unwrap();
    let refuse = async {
        let frame = peer.receive().await;
        // The dropped handle of an ended subscription asks for nothing.
        assert!(frame.get("subscribe").is_some());
        peer.send(json!({"id": frame["id"], "error": {"status": 400, "code": "subscription"}})).await;
    };
    drop(subscription);
    let (outcome, ()) = tokio::join!(counter.subscribe::<Value>(None), refuse);
    assert!(matches!(outcome, Err(SubscribeError::Rejected(problem)) if problem.code == "subscription"));
}

#[tokio::test]
async fn nonsense_from_the_server_costs_the_connection_not_the_calls() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let pending = begin(&connection, 1).await;
    peer.receive().await;
    peer.stream.send(Message::text("{nonsense")).await.unwrap();

    let mut peer = server.accept().await;
    let frame = peer.receive().await;
    peer.send(json!({"id": frame["id"], "reply": 1})).await;
    assert_eq!(pending.reply().await.unwrap().reply, json!(1));
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let server = Server::start().await;
    let mut config = server.config();
    config.silence_max = Duration::from_millis(100);
    let (connection, peer) = server.connect(config).await;
    let pending = begin(&connection, 1).await;
    let mut next = server.accept().await;
    let frame = next.receive().await;
    next.send(json!({"id": frame["id"], "reply": 1})).await;
    assert_eq!(pending.reply().await.unwrap().reply, json!(1));
    drop(peer);
}

#[tokio::test]
async fn the_connection_says_goodbye_when_nobody_needs_it() {
    let server = Server::start().await;
    let (connection, mut peer) = server.connect(server.config()).await;
    let pending = begin(&connection, 1).await;
    drop(connection);
    let frame = peer.receive().await;
    peer.send(json!({"id": frame["id"], "reply": 1})).await;
    assert_eq!(pending.reply().await.unwrap().reply, json!(1), "what was begun is finished");
    assert!(matches!(peer.stream.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_not_asked_again() {
    let server = Server::start().await;
    let client = Client::new(server.config()).unwrap();
    let refuse = async {
        let (mut stream, _) = server.listener.accept().await.unwrap();
        let body = r#"{"status":401,"code":"unauthorized"}"#;
        let head = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream
    };
    let (outcome, _stream) = tokio::join!(client.connect(), refuse);
    let Err(ConnectError::Rejected(problem)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(problem.status, 401);
}
