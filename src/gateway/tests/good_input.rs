//! What works, works as promised.

use std::time::Duration;

use playhouse_cluster::environment::Environment;
use tokio::sync::oneshot;

use super::super::testing::{House, Outcome, Scripted};
use crate::{
    protocol::{CallError, Content},
    telemetry::{
        Metrics,
        traces::{REQUEST, TraceOptions, Traces, testing::collect},
    },
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_call_passes_the_bytes_on_and_brings_the_reply_back() {
    let house = House::open().await;
    let answer = house.ask("POST /v1/entities/counter/visits/call", r#"{"add": 1}"#).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"value":1}"#));
    assert_eq!((answer.header("content-type"), answer.header("entity-revision")), ("application/json", "7"));
    let seen = house.entities.seen.lock();
    assert_eq!(seen[0].target.to_string(), "counter/visits");
    assert_eq!((seen[0].body.content, &seen[0].body.bytes[..]), (Content::Json, &br#"{"add": 1}"#[..]));
    assert_eq!((seen[0].timeout, &seen[0].idempotency_key), (Duration::from_secs(10), &None));
    assert_eq!(seen[0].request_id.to_string(), answer.header("request-id"));
    assert_eq!(answer.header("request-id").len(), 32);
}

#[tokio::test]
async fn a_cast_is_accepted_only_after_the_commit() {
    let (commit, committed) = oneshot::channel();
    let outcome = parking_lot::Mutex::new(Some(committed));
    let house = House::answering(move || Outcome::Later(outcome.lock().take().unwrap())).await;
    let mut client = house.client().await;
    client.send("POST /v1/entities/counter/visits/cast", "{}").await;
    tokio::select! {
        biased;
        answer = client.answer() => panic!("answered before the commit: {answer:?}"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    commit.send(Ok(crate::protocol::Reply { body: "ignored".into(), revision: 1 })).unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
}

#[tokio::test]
async fn a_key_may_be_any_text_when_it_is_percent_encoded() {
    let house = House::open().await;
    let answer = house.ask("POST /v1/entities/counter/a%2Fb%20%C3%A4%2B+/call", "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(house.entities.seen.lock()[0].target.key.as_str(), "a/b ä++");
}

#[tokio::test]
async fn the_idempotency_key_is_the_request_id() {
    let house = House::open().await;
    let head = "POST /v1/entities/counter/visits/call\nidempotency-key: order 4711\nrequest-timeout: 250ms";
    let answer = house.ask(head, "{}").await;
    assert_eq!(answer.header("request-id"), "order 4711");
    let seen = house.entities.seen.lock();
    assert_eq!(seen[0].idempotency_key.as_deref(), Some("order 4711"));
    assert_eq!(seen[0].timeout, Duration::from_millis(250));
}

#[tokio::test]
async fn the_trace_goes_on_with_a_span_of_the_gateway() {
    let house = House::open().await;
    let head = format!("POST /v1/entities/counter/v/call\ntraceparent: {PARENT}\ntracestate: a=1");
    let answer = house.ask(&head, "{}").await;
    let span = answer.header("traceparent").to_owned();
    assert!(span.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && span.ends_with("-01"), "{span}");
    assert_ne!(span, PARENT);
    let seen = house.entities.seen.lock();
    let trace = seen[0].trace.as_ref().unwrap();
    assert_eq!((trace.traceparent.as_str(), trace.tracestate.as_deref()), (span.as_str(), Some("a=1")));
}

#[tokio::test]
async fn a_sampled_request_is_a_span_at_the_collector() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = TraceOptions {
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        sample: 0.0,
        node: "playhouse-0".into(),
        release: "1".into(),
        timeout: Duration::from_secs(5),
    };
    let environment = Environment::simulated(2);
    let traces = Traces::export(&options, Metrics::new("test"), &environment).unwrap();
    let failing = Scripted::new(|_| Outcome::Now(Err(CallError::NotCommitted)));
    let house = House::with(failing, |options| options.traces = traces.clone()).await;
    let answer = house.ask(&format!("POST /v1/entities/counter/v/call\ntraceparent: {PARENT}"), "{}").await;
    environment.spawn(async move { traces.flush().await });
    let (_, message) = collect(listener.accept().await.unwrap().0, "200 OK").await;
    let span = &message.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(
        (span.name.as_str(), span.status.as_ref().unwrap().message.as_str()),
        (REQUEST, "not_committed")
    );
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(answer.header("traceparent").contains(&hex(&span.span_id)));
    assert!(PARENT.contains(&hex(&span.parent_span_id)));
}

#[tokio::test]
async fn a_broken_trace_context_begins_a_new_trace() {
    let house = House::open().await;
    let answer =
        house.ask("POST /v1/entities/counter/v/call\ntraceparent: nonsense\ntracestate: a=1", "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("traceparent").len(), 55);
    assert_ne!(answer.header("traceparent"), "nonsense");
    assert_eq!(house.entities.seen.lock()[0].trace, None, "nobody records it");
}

#[tokio::test]
async fn the_state_is_shown_with_shard_node_and_revision() {
    let house = House::open().await;
    let answer = house.ask("GET /v1/entities/counter/visits", "").await;
    assert_eq!(answer.status, 200);
    let expected = r#"{"kind":"counter","key":"visits","shard":3,"node":"playhouse-0","revision":7,"state":{"value": 1}}"#;
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn a_list_says_where_the_next_page_begins() {
    let house = House::open().await;
    let answer = house.ask("GET /v1/entities/counter?prefix=a%2F&after=x+y&limit=2", "").await;
    assert_eq!(
        answer.body,
        r#"{"entities":[{"key":"a","revision":1},{"key":"b/c","revision":2}],"next_after":"b/c"}"#
    );
    let listed = house.entities.listed.lock();
    assert_eq!((listed[0].prefix.as_str(), listed[0].limit), ("a/", 2));
    assert_eq!(listed[0].after.as_ref().unwrap().as_str(), "x y");
}

#[tokio::test]
async fn the_kinds_are_described() {
    let house = House::open().await;
    let kinds = house.ask("GET /v1/kinds", "").await.json();
    assert_eq!(kinds["kinds"][0]["kind"], "counter");
    assert_eq!(kinds["kinds"][0]["examples"][0]["add"], 1);
    for field in ["summary", "durable", "schema", "reads_from"] {
        assert!(!kinds["kinds"][0][field].is_null(), "{field}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests_even_when_they_are_pipelined() {
    let house = House::open().await;
    let mut client = house.client().await;
    for _ in 0..3 {
        client.send("POST /v1/entities/counter/visits/call", "{}").await;
    }
    for _ in 0..3 {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let metrics = house.metrics.render();
    assert!(
        metrics.contains(r#"playhouse_gateway_requests_total{route="call",status="200"} 3"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn curl_without_a_content_type_of_json_works() {
    let house = House::open().await;
    let head = "POST /v1/entities/counter/visits/call\ncontent-type: application/x-www-form-urlencoded";
    assert_eq!(house.ask(head, r#"{"add": 1}"#).await.status, 200);
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    std::fs::write(&path, "first-token-0123456789\nsecond-token-0123456789\n").unwrap();
    let tokens = super::super::Tokens::load(&path).unwrap();
    let house = House::with(Scripted::default(), |options| options.tokens = Some(tokens)).await;
    for token in ["first-token-0123456789", "second-token-0123456789"] {
        let head = format!("POST /v1/entities/counter/v/call\nauthorization: Bearer {token}");
        assert_eq!(house.ask(&head, "{}").await.status, 200);
    }
    let wrong = house.ask("GET /v1/kinds\nauthorization: Bearer third-token-0123456789", "").await;
    wrong.is_problem(401, "unauthorized");
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    house.ask("GET /v1/kinds", "").await.is_problem(401, "unauthorized");
    house.ask("GET /v1/kinds\nauthorization: Basic Zm9v", "").await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_disturb_the_others() {
    let house = House::with(
        Scripted::new(|request| match request.target.key.as_str() {
            "stuck" => Outcome::Never,
            _ => Outcome::value(2),
        }),
        |_| {},
    )
    .await;
    let mut gone = house.client().await;
    gone.send("POST /v1/entities/counter/stuck/call", "{}").await;
    drop(gone);
    let answer = house.ask("POST /v1/entities/counter/free/call", "{}").await;
    assert_eq!(answer.body, r#"{"value":2}"#);
}

#[tokio::test]
async fn an_error_at_the_start_is_told_like_one_later() {
    let house = House::answering(|| Outcome::NotTaken(CallError::Draining)).await;
    house.ask("POST /v1/entities/counter/v/call", "{}").await.is_problem(503, "draining");
}
