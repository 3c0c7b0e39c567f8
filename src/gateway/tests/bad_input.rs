//! The list of bad input in issue 2, one test per line.

use std::time::Duration;

use super::super::testing::{Answer, House, Outcome, Scripted};
use crate::protocol::{CallError, RefusalClass, Refused};

const CALL: &str = "POST /v1/entities/counter/visits/call";

async fn failing(error: CallError) -> Answer {
    let house = House::answering(move || Outcome::Now(Err(error.clone()))).await;
    house.ask(CALL, "{}").await
}

#[tokio::test]
async fn an_unknown_kind_is_404() {
    failing(CallError::UnknownKind { kind: "cuonter".into() }).await.is_problem(404, "unknown_kind");
    let house = House::open().await;
    house.ask("GET /v1/entities/cuonter/visits", "").await.is_problem(404, "unknown_kind");
    house.ask("GET /v1/entities/cuonter", "").await.is_problem(404, "unknown_kind");
}

#[tokio::test]
async fn a_body_that_does_not_parse_is_400_with_the_path_of_the_fault() {
    let error = CallError::InvalidBody { path: ".items[2].name".into(), message: "expected a string".into() };
    let problem = failing(error).await.is_problem(400, "invalid_body");
    assert_eq!(problem["path"], ".items[2].name");
    assert!(problem["detail"].as_str().unwrap().contains("expected a string"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let house = House::with(Scripted::default(), |options| options.requests.body_bytes_max = 64).await;
    assert_eq!(house.ask(CALL, &"x".repeat(64)).await.status, 200);
    let problem = house.ask(CALL, &"x".repeat(65)).await.is_problem(413, "too_large");
    assert_eq!((&problem["bytes"], &problem["bytes_max"]), (&65.into(), &64.into()));
    assert_eq!(house.entities.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_even_when_its_length_is_not_announced() {
    let house = House::with(Scripted::default(), |options| options.requests.body_bytes_max = 64).await;
    let mut client = house.client().await;
    let chunk = format!(
        "POST /v1/entities/counter/v/call HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n41\r\n{}\r\n0\r\n\r\n",
        "x".repeat(65)
    );
    client.send_raw(chunk.as_bytes()).await;
    client.answer().await.unwrap().is_problem(413, "too_large");
}

#[tokio::test]
async fn a_client_that_is_still_sending_can_read_why_it_was_refused() {
    let house = House::open().await;
    let mut client = house.client().await;
    let body = "x".repeat(8 * 1024 * 1024);
    client.send(CALL, &body).await;
    client.answer().await.unwrap().is_problem(413, "too_large");
}

#[tokio::test]
async fn a_long_key_is_400() {
    let house = House::open().await;
    let path = |key: &str| format!("POST /v1/entities/counter/{key}/call");
    assert_eq!(house.ask(&path(&"k".repeat(512)), "{}").await.status, 200);
    house.ask(&path(&"k".repeat(513)), "{}").await.is_problem(400, "invalid_key");
    house.ask(&path(&"%C3%A4".repeat(257)), "{}").await.is_problem(400, "invalid_key");
}

#[tokio::test]
async fn a_key_with_control_characters_is_400() {
    let house = House::open().await;
    for key in ["a%00", "a%0Ab", "%7F", "%C2%85"] {
        let head = format!("POST /v1/entities/counter/{key}/call");
        house.ask(&head, "{}").await.is_problem(400, "invalid_key");
    }
    assert!(house.entities.seen.lock().is_empty());
}

#[tokio::test]
async fn a_key_that_is_not_well_encoded_is_400() {
    let house = House::open().await;
    for key in ["%ff", "%zz", "%2"] {
        house.ask(&format!("GET /v1/entities/counter/{key}"), "").await.is_problem(400, "invalid_key");
    }
    house.ask("POST /v1/entities/counter//call", "{}").await.is_problem(400, "invalid_key");
}

#[tokio::test]
async fn a_kind_that_cannot_be_one_is_400() {
    let house = House::open().await;
    for kind in ["Counter", "9lives", "a%20b", "%ff"] {
        house.ask(&format!("GET /v1/entities/{kind}/v"), "").await.is_problem(400, "invalid_kind");
        house.ask(&format!("GET /v1/entities/{kind}"), "").await.is_problem(400, "invalid_kind");
    }
}

#[tokio::test]
async fn a_refusal_is_409_or_422_as_the_kind_says() {
    let refused =
        |class| Refused { code: "insufficient_funds".into(), message: "12 are missing".into(), class };
    let conflict =
        failing(CallError::Refused(refused(RefusalClass::Conflict))).await.is_problem(409, "refused");
    assert_eq!(conflict["refusal"], "insufficient_funds");
    failing(CallError::Refused(refused(RefusalClass::Unprocessable))).await.is_problem(422, "refused");
}

#[tokio::test]
async fn a_passed_deadline_is_504() {
    let house = House::answering(|| Outcome::Never).await;
    let head = format!("{CALL}\nrequest-timeout: 20ms");
    house.ask(&head, "{}").await.is_problem(504, "deadline_exceeded");
    failing(CallError::DeadlineExceeded).await.is_problem(504, "deadline_exceeded");
}

#[tokio::test]
async fn overloaded_is_503() {
    failing(CallError::Overloaded { what: "mailbox".into() }).await.is_problem(503, "overloaded");
}

#[tokio::test]
async fn draining_is_503() {
    failing(CallError::Draining).await.is_problem(503, "draining");
}

#[tokio::test]
async fn not_committed_is_503() {
    failing(CallError::NotCommitted).await.is_problem(503, "not_committed");
}

#[tokio::test]
async fn outcome_unknown_is_503() {
    failing(CallError::OutcomeUnknown).await.is_problem(503, "outcome_unknown");
}

#[tokio::test]
async fn no_leader_is_503() {
    failing(CallError::Unavailable { shard: 3, reason: "no leader".into() })
        .await
        .is_problem(503, "unavailable");
}

#[tokio::test]
async fn a_quarantined_entity_is_503_and_says_for_how_long() {
    let answer = failing(CallError::Quarantined { retry_after: Duration::from_secs(30) }).await;
    answer.is_problem(503, "quarantined");
    assert_eq!(answer.header("retry-after"), "30");
}

#[tokio::test]
async fn too_large_is_413() {
    let error = CallError::TooLarge { what: "the reply".into(), bytes: 9, bytes_max: 8 };
    let problem = failing(error).await.is_problem(413, "too_large");
    assert_eq!((&problem["bytes"], &problem["bytes_max"]), (&9.into(), &8.into()));
}

#[tokio::test]
async fn the_same_idempotency_key_with_another_body_is_422() {
    failing(CallError::IdempotencyMismatch).await.is_problem(422, "idempotency_mismatch");
}

#[tokio::test]
async fn a_crashed_handler_is_500_without_its_backtrace() {
    let answer = failing(CallError::Crashed).await;
    answer.is_problem(500, "crashed");
    for word in ["panicked", "src/", ".rs", "backtrace"] {
        assert!(!answer.body.contains(word), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_unreadable_state_is_500() {
    let error = CallError::UnreadableState { entity: "counter/v".into(), reason: "version 9".into() };
    failing(error).await.is_problem(500, "unreadable_state");
}

#[tokio::test]
async fn an_unknown_route_is_404_as_a_problem() {
    let house = House::open().await;
    for path in ["/", "/v1", "/v2/kinds", "/v1/entities/counter/visits/shout", "/v1/kinds/"] {
        house.ask(&format!("GET {path}"), "").await.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_is_right() {
    let house = House::open().await;
    let answer = house.ask("GET /v1/entities/counter/visits/call", "").await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    house.ask("DELETE /v1/entities/counter/visits", "").await.is_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_own_word_is_415() {
    let house = House::open().await;
    for media in ["text/plain", "application/octet-stream", "application/json; charset=latin1"] {
        let head = format!("{CALL}\ncontent-type: {media}");
        house.ask(&head, "{}").await.is_problem(415, "unsupported_media_type");
    }
    let browser =
        format!("{CALL}\norigin: https://elsewhere.example\ncontent-type: application/x-www-form-urlencoded");
    house.ask(&browser, "{}").await.is_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_bad_query_is_400_with_the_nearest_name() {
    let house = House::open().await;
    let problem = house.ask("GET /v1/entities/counter?limti=3", "").await.is_problem(400, "invalid_query");
    assert!(problem["detail"].as_str().unwrap().contains(r#"did you mean "limit"?"#), "{problem}");
    for query in ["limit=0", "limit=1001", "limit=ten", "after=%00", "prefix=%zz"] {
        house.ask(&format!("GET /v1/entities/counter?{query}"), "").await.is_problem(400, "invalid_query");
    }
    assert!(house.entities.listed.lock().is_empty());
}

#[tokio::test]
async fn a_bad_header_is_400_and_names_the_header() {
    let house = House::open().await;
    let long = "k".repeat(129);
    for (header, value) in [
        ("idempotency-key", long.as_str()),
        ("idempotency-key", ""),
        ("idempotency-key", "ä"),
        ("request-timeout", "soon"),
        ("request-timeout", "0"),
        ("request-timeout", "61"),
        ("request-timeout", "1\nrequest-timeout: 2"),
    ] {
        let answer = house.ask(&format!("{CALL}\n{header}: {value}"), "{}").await;
        let problem = answer.is_problem(400, "invalid_header");
        assert!(problem["detail"].as_str().unwrap().starts_with(header), "{problem}");
    }
    assert!(house.entities.seen.lock().is_empty());
}

#[tokio::test]
async fn the_memory_for_bodies_is_bounded() {
    let limit = |options: &mut super::super::Options| options.requests.bodies_bytes_max = 2048;
    let house = House::with(Scripted::new(|_| Outcome::Never), limit).await;
    let mut first = house.client().await;
    first.send(CALL, &"x".repeat(1500)).await;
    let waiting = async {
        while house.entities.seen.lock().is_empty() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    house.ask(CALL, &"x".repeat(1500)).await.is_problem(503, "overloaded");
}
