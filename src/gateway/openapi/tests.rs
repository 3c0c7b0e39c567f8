//! The document and the gateway cannot drift: every operation is called, every promised problem is provoked.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::super::{
    Options, Tokens,
    code::Code,
    operation::Operation,
    testing::{Answer, House, Outcome, Scripted},
};
use crate::protocol::{CallError, RefusalClass, Refused};

const UPGRADE: &str = "\nconnection: upgrade\nupgrade: websocket\nsec-websocket-version: 13\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

/// A request line that the operation answers well.
fn request(method: &str, path: &str) -> String {
    let path = path.replace("{kind}", "counter").replace("{key}", "visits");
    let upgrade = if path == Operation::Connect.path() { UPGRADE } else { "" };
    format!("{} {path}{upgrade}", method.to_uppercase())
}

fn body(method: &str) -> &'static str {
    if method == "post" { "{}" } else { "" }
}

async fn document() -> Value {
    let house = House::open().await;
    house.ask("GET /v1/openapi.json", "").await.json()
}

/// Every path and method of the document, with its item.
fn items(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, methods)| {
        methods
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, item)| (path.clone(), method.clone(), item.clone()))
    });
    methods.collect()
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} is not there"))
        }
        None => schema,
    }
}

/// Compares a real value with its schema, field by field.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    if let Some(properties) = schema["properties"].as_object() {
        let fields = value.as_object().unwrap_or_else(|| panic!("{at} is not an object: {value}"));
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
        }
        for (name, field) in fields {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not documented"));
            check(document, schema, field, &format!("{at}.{name}"));
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().for_each(|value| check(document, items, value, &format!("{at}[]")));
    }
    let kind = match value {
        Value::String(_) => "string",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    };
    let allowed: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => return,
    };
    assert!(allowed.contains(&kind), "{at} is {kind}, documented is {allowed:?}");
}

fn check_headers(item: &Value, answer: &Answer, at: &str) {
    let documented = item["responses"][answer.status.to_string()]["headers"].as_object().unwrap();
    for name in documented.keys() {
        assert!(answer.headers.contains_key(&name.to_lowercase()), "{at}: {name} is missing in {answer:?}");
    }
}

#[tokio::test]
async fn every_operation_answers_as_it_is_documented() {
    let document = document().await;
    let house = House::open().await;
    for (path, method, item) in items(&document) {
        let answer = house.ask(&request(&method, &path), body(&method)).await;
        let at = format!("{method} {path}");
        let response = &item["responses"][answer.status.to_string()];
        assert!(answer.status < 300 && response.is_object(), "{at}: {answer:?}");
        check_headers(&item, &answer, &at);
        match response["content"].as_object() {
            Some(content) => {
                check(&document, &content[answer.header("content-type")]["schema"], &answer.json(), &at)
            }
            None => assert_eq!(answer.body, "", "{at}"),
        }
    }
}

#[tokio::test]
async fn every_documented_problem_can_be_provoked_and_no_other_comes() {
    let document = document().await;
    for (path, method, item) in items(&document) {
        let mut expected = documented_codes(&item);
        for code in Code::ALL {
            for answer in provoke(*code, &method, &path).await {
                let at = format!("{code:?} at {method} {path}");
                let problem = answer.json();
                let found = (answer.status, problem["code"].as_str().unwrap().to_owned());
                assert!(documented_codes(&item).contains(&found), "{at}: {found:?} is not documented");
                check(&document, &document["components"]["schemas"]["Problem"], &problem, &at);
                check_headers(&item, &answer, &at);
                expected.remove(&found);
            }
        }
        assert!(expected.is_empty(), "{method} {path}: documented, but never seen: {expected:?}");
    }
}

fn documented_codes(item: &Value) -> BTreeSet<(u16, String)> {
    let mut codes = BTreeSet::new();
    for (status, response) in item["responses"].as_object().unwrap() {
        let narrowed = &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"];
        for code in narrowed["code"]["enum"].as_array().into_iter().flatten() {
            codes.insert((status.parse().unwrap(), code.as_str().unwrap().to_owned()));
        }
    }
    codes
}

/// The answers of an operation in a world where `code` happens; none when it cannot happen there.
async fn provoke(code: Code, method: &str, path: &str) -> Vec<Answer> {
    let line = request(method, path);
    let post = method == "post";
    let changed =
        |from: &str, to: &str| path.contains(from).then(|| request(method, &path.replace(from, to)));
    let plain = |line: Option<String>| async {
        match line {
            Some(line) => vec![House::open().await.ask(&line, body(method)).await],
            None => Vec::new(),
        }
    };
    match code {
        Code::InvalidKey => plain(changed("{key}", "%00")).await,
        Code::InvalidKind => plain(changed("{kind}", "Counter")).await,
        Code::InvalidQuery if path.ends_with("{kind}") => plain(Some(format!("{line}?x=1"))).await,
        Code::InvalidHeader => plain(Some(format!("{line}\nrequest-timeout: soon"))).await,
        Code::ForbiddenOrigin => {
            plain((path == "/v1/connect").then(|| format!("{line}\norigin: http://x"))).await
        }
        Code::UnsupportedMediaType => plain(post.then(|| format!("{line}\ncontent-type: text/plain"))).await,
        Code::Unauthorized => vec![with_tokens().await.ask(&line, body(method)).await],
        Code::SlowRequest if post => vec![slow_body(&line).await],
        _ if !path.contains("{kind}") => Vec::new(),
        _ => failing(code, &line, body(method)).await,
    }
}

async fn with_tokens() -> House {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tokens"), "a-token-0123456789").unwrap();
    let tokens = Tokens::load(directory.path().join("tokens")).unwrap();
    House::with(Scripted::default(), |options| options.tokens = Some(tokens)).await
}

async fn slow_body(line: &str) -> Answer {
    let limit = |options: &mut Options| options.requests.body_timeout = Duration::from_millis(10);
    let house = House::with(Scripted::default(), limit).await;
    let mut client = house.client().await;
    client.send_raw(format!("{line} HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\n{{").as_bytes()).await;
    client.answer().await.unwrap()
}

/// Answers of entities that fail with `code`.
async fn failing(code: Code, line: &str, body: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for error in errors(code) {
        if !line.starts_with("POST") && !Scripted::fails_to_show(&error) {
            continue;
        }
        let mut script = Scripted::new({
            let error = error.clone();
            move |_| Outcome::Now(Err(error.clone()))
        });
        script.views_fail = Some(error);
        let house = House::with(script, |_| {}).await;
        answers.push(house.ask(line, body).await);
    }
    answers
}

fn errors(code: Code) -> Vec<CallError> {
    let text = || "because".to_owned();
    let refused = |class| CallError::Refused(Refused { code: text(), message: text(), class });
    match code {
        Code::UnknownKind => vec![CallError::UnknownKind { kind: text() }],
        Code::InvalidBody => vec![CallError::InvalidBody { path: text(), message: text() }],
        Code::Refused => vec![refused(RefusalClass::Conflict), refused(RefusalClass::Unprocessable)],
        Code::TooLarge => vec![CallError::TooLarge { what: text(), bytes: 2, bytes_max: 1 }],
        Code::IdempotencyMismatch => vec![CallError::IdempotencyMismatch],
        Code::Crashed => vec![CallError::Crashed],
        Code::UnreadableState => vec![CallError::UnreadableState { entity: text(), reason: text() }],
        Code::Overloaded => vec![CallError::Overloaded { what: text() }],
        Code::Draining => vec![CallError::Draining],
        Code::NotCommitted => vec![CallError::NotCommitted],
        Code::OutcomeUnknown => vec![CallError::OutcomeUnknown],
        Code::Unavailable => vec![CallError::Unavailable { shard: 1, reason: text() }],
        Code::Quarantined => vec![CallError::Quarantined { retry_after: Duration::from_secs(1) }],
        Code::DeadlineExceeded => vec![CallError::DeadlineExceeded],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_registered_kinds_are_in_it() {
    let document = document().await;
    assert_eq!(
        document["components"]["parameters"]["Kind"]["schema"]["examples"],
        serde_json::json!(["counter"])
    );
    let call = &document["paths"]["/v1/entities/{kind}/{key}/call"]["post"];
    assert_eq!(
        call["requestBody"]["content"]["application/json"]["examples"]["counter-1"]["value"]["add"],
        1
    );
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        if value["$ref"].is_string() {
            resolve(document, value);
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|field| walk(document, field)),
            Value::Array(values) => values.iter().for_each(|value| walk(document, value)),
            _ => {}
        }
    }
    let document = document().await;
    walk(&document, &document);
    assert!(document.get("security").is_none());
    let head = "GET /v1/openapi.json\nauthorization: Bearer a-token-0123456789";
    assert!(with_tokens().await.ask(head, "").await.json()["security"].is_array());
}
