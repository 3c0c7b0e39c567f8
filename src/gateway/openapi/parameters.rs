//! What a client may say beside the body.

use serde_json::{Value, json};

use super::super::operation::Operation;
use crate::{
    entity::KindDescription,
    protocol::{IDEMPOTENCY_KEY_BYTES_MAX, KEY_BYTES_MAX},
};

/// References to the parameters of one operation.
pub(super) fn of(operation: Operation) -> Value {
    let names: &[&str] = match operation {
        Operation::Call | Operation::Cast => &["Kind", "Key", "IdempotencyKey", "RequestTimeout"],
        Operation::View => &["Kind", "Key", "RequestTimeout"],
        Operation::List => &["Kind", "Prefix", "After", "Limit", "RequestTimeout"],
        Operation::Kinds | Operation::OpenApi | Operation::Connect => &[],
    };
    let traced = names.iter().chain(&["TraceParent", "TraceState"]);
    traced.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect()
}

/// All parameters by name.
pub(super) fn all(kinds: &[KindDescription]) -> Value {
    let names: Vec<_> = kinds.iter().map(|kind| kind.kind.as_str()).collect();
    let kind = json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$", "examples": names });
    let key = json!({ "type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX });
    let text = json!({ "type": "string" });
    json!({
        "Kind": path("kind", "What the entity is.", &kind),
        "Key": path("key", "Which one: 1 to 512 bytes of UTF-8 without control characters, percent-encoded.", &key),
        "Prefix": query("prefix", "Keys that start so.", &text),
        "After": query("after", "Keys behind this one.", &text),
        "Limit": query("limit", "At most this many.", &json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 })),
        "IdempotencyKey": header(
            "Idempotency-Key",
            "At most one effect per key and entity within the window (10 minutes); the first reply again.",
            &json!({ "type": "string", "pattern": "^[ -~]+$", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX }),
        ),
        "RequestTimeout": header(
            "Request-Timeout",
            "How long the client waits: seconds, or with a unit. Default 10 s, at most 60 s.",
            &json!({ "type": "string", "pattern": "^[0-9.]+(ms|s)?$", "examples": ["2.5", "250ms"] }),
        ),
        "TraceParent": header("traceparent", "W3C trace context.", &text),
        "TraceState": header("tracestate", "W3C trace context.", &text),
    })
}

fn path(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "in": "path", "name": name, "required": true, "description": description, "schema": schema })
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "in": "query", "name": name, "description": description, "schema": schema })
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "in": "header", "name": name, "description": description, "schema": schema })
}
