//! The client over HTTP against a scripted server.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[allow(dead_code)] // Not every test needs all of it.
#[path = "support/scripted.rs"]
mod scripted;

use std::time::Duration;

use playhouse_client::{
    CallError, CastError, Client, Config, EntityView, Failure, Idempotency, IdempotencyKey, ListQuery, Ops,
    Options, Outcome, ReadError, Token,
};
use scripted::{Answer, Scripted, dead_address};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Short pauses, so that the tests are quick.
fn config<const N: usize>(urls: [String; N]) -> Config {
    let mut config = Config::new(urls).unwrap();
    config.timeout = Duration::from_secs(8);
    config.backoff.first = Duration::from_millis(5);
    config.backoff.max = Duration::from_millis(20);
    config
}

fn client<const N: usize>(urls: [String; N]) -> Client {
    Client::new(config(urls)).unwrap()
}

async fn call(client: &Client) -> Result<Value, CallError> {
    client.entity("counter", "visits").unwrap().call(&json!({"add": 1})).await
}

/// Answers what it is given, in turn, and the last of it for ever.
fn in_turn(answers: impl IntoIterator<Item = Answer>) -> impl FnMut(&scripted::Seen) -> Answer {
    let mut answers = answers.into_iter().peekable();
    let mut last = Answer::Hang;
    move |_| {
        if let Some(next) = answers.next() {
            last = next;
        }
        last.clone()
    }
}

#[tokio::test]
async fn a_call_says_what_the_contract_asks_for_and_reads_what_comes_back() {
    let server = Scripted::start(|_| {
        Answer::ok(r#"{"value":3}"#).with_header("Entity-Revision", "7").with_header("Request-Id", "r")
    })
    .await;
    let entity = client([server.url()]).entity("counter", "a/b").unwrap();

    let replied = entity.call_with::<_, Value>(&json!({"add": 1}), &Options::default()).await.unwrap();
    assert_eq!(replied.reply, json!({"value": 3}));
    assert_eq!((replied.revision, replied.request_id.as_deref()), (Some(7), Some("r")));

    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/entities/counter/a%2Fb/call"));
    assert_eq!(seen.body, r#"{"add":1}"#);
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("request-timeout"), "4900ms");
    assert_eq!(seen.key().len(), 32);
    assert_eq!(seen.header("authorization"), "");
}

#[tokio::test]
async fn calls_share_one_connection_and_have_different_keys() {
    let server = Scripted::start(|_| Answer::ok("null")).await;
    let client = client([server.url()]);
    for _ in 0..10 {
        call(&client).await.unwrap();
    }
    let mut keys: Vec<_> = server.seen().iter().map(|seen| seen.key().to_owned()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 10);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again_with_the_same_key() {
    let script = in_turn([
        Answer::Drop,
        Answer::Raw("this is not HTTP"),
        Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"val"),
        Answer::problem(503, "not_committed"),
        Answer::problem(503, "outcome_unknown"),
        Answer::Reply { status: 502, headers: vec![], body: "<html>".into() },
        Answer::ok(r#"{"value":1}"#),
    ]);
    let server = Scripted::start(script).await;

    assert_eq!(call(&client([server.url()])).await.unwrap(), json!({"value": 1}));
    let seen = server.seen();
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|request| request.key() == seen[0].key() && request.body == seen[0].body));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let script =
        in_turn([Answer::problem(503, "overloaded").with_header("Retry-After", "1"), Answer::ok("null")]);
    let server = Scripted::start(script).await;
    let start = Instant::now();
    call(&client([server.url()])).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_retry_after_beyond_the_timeout_is_not_waited_for() {
    let server =
        Scripted::start(|_| Answer::problem(503, "quarantined").with_header("Retry-After", "60")).await;
    let Err(CallError::GaveUp(gave_up)) = call(&client([server.url()])).await else {
        panic!("gave no error")
    };
    assert_eq!((gave_up.attempts, gave_up.outcome), (1, Outcome::NothingHappened));
    assert!(gave_up.elapsed < Duration::from_secs(2));
}

#[tokio::test]
async fn a_slow_answer_is_asked_for_again_with_the_same_key() {
    let late = Answer::After(Duration::from_secs(60), Box::new(Answer::ok("1")));
    let server = Scripted::start(in_turn([late, Answer::ok("2")])).await;
    let mut config = config([server.url()]);
    config.attempt_timeout = Duration::from_millis(100);

    assert_eq!(call(&Client::new(config).unwrap()).await.unwrap(), json!(2));
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].key(), seen[1].key());
}

#[tokio::test]
async fn when_nobody_answers_in_time_the_error_says_what_is_known() {
    let server = Scripted::start(|_| Answer::Hang).await;
    let mut config = config([server.url()]);
    config.timeout = Duration::from_millis(300);
    config.attempt_timeout = Duration::from_millis(100);
    let key = IdempotencyKey::new("mine").unwrap();
    let options = Options { idempotency: Idempotency::Key(key.clone()), ..Options::default() };

    let entity = Client::new(config).unwrap().entity("counter", "visits").unwrap();
    let Err(CastError::GaveUp(gave_up)) = entity.cast_with(&json!(1), &options).await else {
        panic!("gave no error")
    };
    assert!(gave_up.attempts >= 2, "{gave_up:?}");
    assert_eq!((gave_up.outcome, gave_up.idempotency_key), (Outcome::Unknown, Some(key)));
    assert!(matches!(gave_up.last, Failure::Silent { .. }));
}

#[tokio::test]
async fn without_a_key_only_what_never_happened_is_tried_again() {
    let entity = |server: &Scripted| client([server.url()]).entity("counter", "visits").unwrap();
    let off = Options { idempotency: Idempotency::Off, ..Options::default() };

    let turned_away =
        Scripted::start(in_turn([Answer::problem(503, "not_committed"), Answer::ok("1")])).await;
    assert_eq!(entity(&turned_away).call_with::<_, Value>(&1, &off).await.unwrap().reply, json!(1));
    assert!(turned_away.seen().iter().all(|seen| seen.key().is_empty()));

    let broken = Scripted::start(in_turn([Answer::problem(503, "outcome_unknown"), Answer::ok("1")])).await;
    let Err(CallError::GaveUp(gave_up)) = entity(&broken).call_with::<_, Value>(&1, &off).await else {
        panic!("gave no error")
    };
    assert_eq!((gave_up.attempts, gave_up.outcome), (1, Outcome::Unknown));
    assert_eq!(broken.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_final_and_keeps_the_kinds_own_code() {
    let body = r#"{"status":409,"code":"refused","refusal":"insufficient_funds","detail":"3 < 5"}"#;
    let server =
        Scripted::start(move |_| Answer::Reply { status: 409, headers: vec![], body: body.into() }).await;
    let Err(CallError::Refused(refusal)) = call(&client([server.url()])).await else { panic!("no refusal") };
    assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("insufficient_funds", "3 < 5"));
    assert!(refusal.conflict);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_will_never_work_is_not_tried_again() {
    for (status, code) in [(400, "invalid_body"), (404, "unknown_kind"), (500, "crashed"), (413, "too_large")]
    {
        let server = Scripted::start(move |_| Answer::problem(status, code)).await;
        let Err(CallError::Rejected(problem)) = call(&client([server.url()])).await else { panic!("{code}") };
        assert_eq!((problem.status, problem.code.as_str()), (status, code));
        assert!(problem.nothing_happened());
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_named_as_such() {
    let body = "<html>It works!</html>".to_owned();
    let server =
        Scripted::start(move |_| Answer::Reply { status: 404, headers: vec![], body: body.clone() }).await;
    let Err(CallError::Rejected(problem)) = call(&client([server.url()])).await else {
        panic!("not rejected")
    };
    assert_eq!(problem.code, "http_404");
    assert!(problem.detail.contains("not from a Playhouse gateway"), "{}", problem.detail);
}

#[tokio::test]
async fn a_reply_of_another_type_is_told_apart_from_a_failed_command() {
    let server = Scripted::start(|_| Answer::ok(r#"{"value":"three"}"#)).await;
    let entity = client([server.url()]).entity("counter", "visits").unwrap();
    let outcome = entity.call::<_, u64>(&json!({"add": 1})).await;
    assert!(
        matches!(&outcome, Err(CallError::Decode { reply, .. }) if reply.contains("three")),
        "{outcome:?}"
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept_in_memory() {
    let server = Scripted::start(|_| Answer::ok("x".repeat(100_000))).await;
    let mut config = config([server.url()]);
    config.response_bytes_max = 10_000;
    let Err(CallError::GaveUp(gave_up)) = call(&Client::new(config).unwrap()).await else {
        panic!("no error")
    };
    assert!(matches!(gave_up.last, Failure::Oversized { bytes_max: 10_000, .. }));
    assert_eq!((gave_up.attempts, gave_up.outcome), (1, Outcome::Unknown));
}

#[tokio::test]
async fn a_dead_gateway_costs_no_call() {
    let (server, dead) = (Scripted::start(|_| Answer::ok("1")).await, dead_address().await);
    let client = client([format!("http://{dead}"), server.url()]);
    for _ in 0..20 {
        assert_eq!(call(&client).await.unwrap(), json!(1));
    }
    assert_eq!(server.seen().len(), 20);
}

#[tokio::test]
async fn a_draining_gateway_sends_us_to_another_at_once_with_the_same_key() {
    let leaving =
        Scripted::start(|_| Answer::problem(503, "draining").with_header("Retry-After", "60")).await;
    let staying = Scripted::start(|_| Answer::ok("1")).await;
    let client = client([leaving.url(), staying.url()]);
    assert_eq!(call(&client).await.unwrap(), json!(1));
    assert_eq!(leaving.seen()[0].key(), staying.seen()[0].key());
}

#[tokio::test]
async fn a_server_that_was_killed_and_started_again_is_found() {
    let first = Scripted::start(|_| Answer::ok("1")).await;
    let (client, address) = (client([first.url()]), first.address());
    assert_eq!(call(&client).await.unwrap(), json!(1));
    first.kill().await;

    let (outcome, second) = tokio::join!(call(&client), Scripted::start_at(address, |_| Answer::ok("2")));
    assert_eq!(outcome.unwrap(), json!(2));
    assert_eq!(second.seen().len(), 1);
}

#[tokio::test]
async fn a_token_file_that_changed_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let server = Scripted::start(|seen| match seen.header("authorization") {
        "Bearer new" => Answer::ok("1"),
        _ => Answer::problem(401, "unauthorized"),
    })
    .await;
    let mut config = config([server.url()]);
    config.token = Some(Token::from_file(&path).unwrap());
    let client = Client::new(config).unwrap();

    let Err(CallError::Rejected(problem)) = call(&client).await else { panic!("not rejected") };
    assert_eq!((problem.code.as_str(), server.seen().len()), ("unauthorized", 1));

    std::fs::write(&path, "new").unwrap();
    assert_eq!(call(&client).await.unwrap(), json!(1));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn states_lists_and_kinds_are_read() {
    let server = Scripted::start(|seen| match seen.path.as_str() {
        "/v1/entities/counter/visits" => Answer::ok(
            r#"{"kind":"counter","key":"visits","shard":3,"node":"playhouse-0","revision":2,"state":{"value":5}}"#,
        ),
        "/v1/entities/counter?limit=2&prefix=v" => {
            Answer::ok(r#"{"entities":[{"key":"v1","revision":1},{"key":"v2","revision":4}],"next_after":"v2"}"#)
        }
        "/v1/kinds" => Answer::ok(
            r#"{"kinds":[{"kind":"counter","summary":"s","durable":true,"schema":1,"reads_from":1,"examples":[{"add":1}]}]}"#,
        ),
        other => panic!("{other}"),
    })
    .await;
    let client = client([server.url()]);

    let view: EntityView<Value> = client.entity("counter", "visits").unwrap().get().await.unwrap();
    assert_eq!((view.shard, view.revision, &view.state), (3, 2, &json!({"value": 5})));

    let page = client.list(&ListQuery::of("counter").unwrap().prefix("v").limit(2)).await.unwrap();
    assert_eq!(page.entities.len(), 2);
    assert_eq!(page.next_after.as_deref(), Some("v2"));

    let kinds = client.kinds().await.unwrap();
    assert_eq!((kinds[0].kind.as_str(), &kinds[0].examples[0]), ("counter", &json!({"add": 1})));
}

#[tokio::test]
async fn reading_is_tried_again_without_a_key() {
    let server = Scripted::start(in_turn([Answer::Drop, Answer::ok(r#"{"kinds":[]}"#)])).await;
    assert!(client([server.url()]).kinds().await.unwrap().is_empty());
    assert!(server.seen().iter().all(|seen| seen.key().is_empty()));
}

#[tokio::test]
async fn an_unwell_node_still_tells_how_it_is() {
    let server = Scripted::start(|seen| match seen.path.as_str() {
        "/health" => Answer::Reply {
            status: 503,
            headers: vec![],
            body: r#"{"status":"failing","version":"0.1.0","uptime_seconds":1.5,"node":"n",
                "checks":[{"name":"store","status":"failing","detail":"disk full","duration_ms":0.2}]}"#
                .into(),
        },
        _ => Answer::Reply { status: 503, headers: vec![], body: "not joined\n".into() },
    })
    .await;
    let ops = Ops::new(server.url().parse().unwrap(), config([server.url()])).unwrap();

    let health = ops.health().await.unwrap();
    assert!(!health.healthy);
    assert_eq!(health.checks[0].detail.as_deref(), Some("disk full"));
    let probe = ops.probe("readyz").await.unwrap();
    assert_eq!((probe.ok, probe.detail.as_str()), (false, "not joined"));

    let dead = format!("http://{}", dead_address().await);
    let nobody = Ops::new(dead.parse().unwrap(), config([dead.clone()])).unwrap();
    assert!(matches!(nobody.health().await, Err(ReadError::GaveUp(_))));
}
