//! What the gateway answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::{code::Code, operation::Operation};

/// Every answer of one operation, by status.
pub(super) fn of(operation: Operation) -> Value {
    let mut responses = Map::new();
    let (status, success) = success(operation);
    responses.insert(status.to_owned(), success);
    for (status, codes) in by_status(operation) {
        responses.insert(status.to_string(), problem(status, &codes));
    }
    Value::Object(responses)
}

fn success(operation: Operation) -> (&'static str, Value) {
    let described = |description: &str| json!({ "description": description, "headers": signed(&[]) });
    match operation {
        Operation::Call => {
            let mut response = json_of("The reply, as the kind writes it.", "Reply");
            response["headers"] = signed(&["Entity-Revision"]);
            ("200", response)
        }
        Operation::Cast => ("202", described("Committed.")),
        Operation::View => ("200", json_of("The state as the kind shows it.", "View")),
        Operation::List => ("200", json_of("Keys in ascending order; not a snapshot.", "Page")),
        Operation::Kinds => ("200", json_of("The kinds of this node.", "Kinds")),
        Operation::OpenApi => ("200", json_of("This document.", "Document")),
        Operation::Connect => ("101", described("WebSocket from here on; see docs/http-api.md.")),
    }
}

fn json_of(description: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": description, "headers": signed(&[]), "content": { "application/json": { "schema": schema } } })
}

/// A refusal has two statuses, as the kind says; every other code has one.
fn by_status(operation: Operation) -> BTreeMap<u16, BTreeSet<Code>> {
    let mut statuses = BTreeMap::<u16, BTreeSet<Code>>::new();
    for &code in operation.codes() {
        statuses.entry(code.status().as_u16()).or_default().insert(code);
        if code == Code::Refused {
            statuses.entry(422).or_default().insert(code);
        }
    }
    statuses
}

fn problem(status: u16, codes: &BTreeSet<Code>) -> Value {
    let words: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let titles: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let own = match status {
        401 => &["WWW-Authenticate"][..],
        503 => &["Retry-After"],
        _ => &[],
    };
    let narrowed = json!({ "properties": { "code": { "enum": words }, "status": { "const": status } } });
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, narrowed] });
    json!({
        "description": titles.join(" "),
        "headers": signed(own),
        "content": { "application/problem+json": { "schema": schema } },
    })
}

/// The headers of every answer, and those of this one.
fn signed(own: &[&str]) -> Value {
    let names = ["Request-Id", "traceparent"].iter().chain(own);
    names
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect::<Map<_, _>>()
        .into()
}

/// All headers of answers.
pub(super) fn headers() -> Value {
    let header =
        |description: &str, kind: &str| json!({ "description": description, "schema": { "type": kind } });
    json!({
        "Request-Id": header("The idempotency key if one was given, else 32 hexadecimal digits.", "string"),
        "traceparent": header("The span of the node's own work.", "string"),
        "Entity-Revision": header("How many times the entity had changed when it answered.", "integer"),
        "Retry-After": header("Seconds until it is worth trying again.", "integer"),
        "WWW-Authenticate": header("Bearer.", "string"),
    })
}
