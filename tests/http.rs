//! A node with its gateway, as a client in any language sees it: over the socket, through every room, to the disk.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use playhouse::{
    entity::KindRegistry,
    gateway::{DrainSwitch, Options, drain, serve},
    node::{Node, Settings},
    telemetry::Metrics,
};
use playhouse_cluster::environment::Environment;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::JoinHandle,
};
use tokio_tungstenite::{client_async, tungstenite::Message};

struct House {
    node: Node,
    address: SocketAddr,
    drain: DrainSwitch,
    serving: JoinHandle<()>,
}

impl House {
    async fn open(folder: &std::path::Path) -> Self {
        let environment = Environment::real(Handle::current(), Handle::current());
        let metrics = Metrics::new("test");
        let mut kinds = KindRegistry::default();
        playhouse::kinds::register_all(&mut kinds).expect("the kinds that ship fit together");
        let settings = Settings::new("playhouse-0", folder);
        let node =
            Node::start(&settings, kinds, metrics.clone(), environment.clone()).await.expect("a node starts");
        let (switch, signal) = drain();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let options = Options::new("playhouse-0", signal, metrics);
        let entities = Arc::new(node.router().clone());
        let serving = environment.spawn(serve(listener, entities, options, environment.clone()));
        Self { node, address, drain: switch, serving }
    }

    async fn close(self) {
        self.drain.start();
        self.serving.await.expect("the gateway does not panic");
        self.node.stop(Duration::from_secs(10)).await;
    }

    /// Status and body of one request.
    async fn ask(&self, request_line: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.expect("the gateway listens");
        let length = body.len();
        let request = format!(
            "{request_line} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("the gateway reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("the gateway answers");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a head has a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn call(&self, target: &str, command: Value) -> (u16, Value) {
        self.ask(&format!("POST /v1/entities/{target}/call"), "", &command.to_string()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_over_http_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("there is a temporary directory");
    let house = House::open(folder.path()).await;
    assert_eq!(house.call("counter/visits", json!({"add": 1})).await, (200, json!({"value": 1})));
    assert_eq!(house.ask("POST /v1/entities/counter/visits/cast", "", r#"{"add": 2}"#).await.0, 202);
    house.close().await;

    let house = House::open(folder.path()).await;
    let (status, view) = house.ask("GET /v1/entities/counter/visits", "", "").await;
    assert_eq!((status, &view["state"]["value"], &view["revision"]), (200, &json!(3), &json!(2)));
    let (_, page) = house.ask("GET /v1/entities/counter?prefix=vis", "", "").await;
    assert_eq!(page, json!({"entities": [{"key": "visits", "revision": 2}], "next_after": null}));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_idempotency_key_has_one_effect_even_after_a_restart() {
    let folder = tempfile::tempdir().expect("there is a temporary directory");
    let house = House::open(folder.path()).await;
    let line = "POST /v1/entities/counter/visits/call";
    let key = "idempotency-key: order-4711\r\n";
    assert_eq!(house.ask(line, key, r#"{"add": 1}"#).await, (200, json!({"value": 1})));
    assert_eq!(house.ask(line, key, r#"{"add": 1}"#).await, (200, json!({"value": 1})));
    let (status, problem) = house.ask(line, key, r#"{"add": 2}"#).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_mismatch")));
    house.close().await;

    let house = House::open(folder.path()).await;
    assert_eq!(house.ask(line, key, r#"{"add": 1}"#).await, (200, json!({"value": 1})));
    assert_eq!(house.call("counter/visits", json!({"get": {}})).await, (200, json!({"value": 1})));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_told_by_its_code() {
    let folder = tempfile::tempdir().expect("there is a temporary directory");
    let house = House::open(folder.path()).await;
    for (target, body, status, code) in [
        ("cuonter/v", "{}", 404, "unknown_kind"),
        ("counter/v", "{", 400, "invalid_body"),
        ("counter/v", "", 400, "invalid_body"),
        ("counter/v", r#"{"add": "one"}"#, 400, "invalid_body"),
        ("counter/v", r#"{"shout": 1}"#, 400, "invalid_body"),
    ] {
        let (found, problem) = house.ask(&format!("POST /v1/entities/{target}/call"), "", body).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{body}: {problem}");
        assert_eq!(problem["path"].is_string(), code == "invalid_body", "{problem}");
    }
    assert_eq!(house.ask("GET /v1/entities/cuonter", "", "").await.1["code"], "unknown_kind");
    assert_eq!(house.ask("GET /v1/entities/cuonter/v", "", "").await.1["code"], "unknown_kind");
    let (_, page) = house.ask("GET /v1/entities/counter", "", "").await;
    assert_eq!(page["entities"], json!([]), "what was refused left nothing");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_websocket_calls_in_order_and_hears_what_is_published() {
    let folder = tempfile::tempdir().expect("there is a temporary directory");
    let house = House::open(folder.path()).await;
    let stream = TcpStream::connect(house.address).await.expect("the gateway listens");
    let url = format!("ws://{}/v1/connect", house.address);
    let (mut socket, _) = client_async(url, stream).await.expect("the gateway upgrades");
    for number in 0..200 {
        let command = json!({"kind": "counter", "key": "visits", "command": {"add": 1}});
        socket
            .feed(Message::text(json!({"id": number, "call": command}).to_string()))
            .await
            .expect("it is read");
    }
    socket.flush().await.expect("it is read");
    for _ in 0..200 {
        let answer = next(&mut socket).await;
        assert_eq!(answer["reply"]["value"], json!(answer["id"].as_u64().expect("a number") + 1), "{answer}");
    }
    let wish = json!({"id": "s", "subscribe": {"kind": "room", "key": "lobby"}});
    socket.send(Message::text(wish.to_string())).await.expect("it is read");
    assert_eq!(next(&mut socket).await, json!({"id": "s", "subscribed": true, "revision": 0}));
    let (status, reply) = house.call("room/lobby", json!({"publish": {"item": "hello"}})).await;
    assert_eq!(status, 200, "{reply}");
    let item = next(&mut socket).await;
    assert_eq!((&item["id"], item["revision"].is_u64()), (&json!("s"), true), "{item}");
    assert!(item["item"].to_string().contains("hello"), "{item}");
    drop(socket);
    house.close().await;
}

async fn next(socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>) -> Value {
    loop {
        match socket.next().await.expect("the connection is open").expect("the frame is whole") {
            Message::Text(text) => return serde_json::from_str(&text).expect("the server writes JSON"),
            Message::Ping(_) => {}
            other => panic!("not an answer: {other:?}"),
        }
    }
}
