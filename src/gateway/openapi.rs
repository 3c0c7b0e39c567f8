//! The OpenAPI 3.1 document, made of the same tables as the routes and the problems.

mod parameters;
mod responses;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::operation::Operation;
use crate::entity::KindDescription;

/// The document of a node with these kinds.
pub(super) fn document(kinds: &[KindDescription], needs_token: bool) -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Playhouse",
            "summary": "Durable, addressable state machines over HTTP.",
            "description": "Programs look at `code` of a problem. Everything that is retried must carry the same Idempotency-Key.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "paths": paths(kinds),
        "components": {
            "parameters": parameters::all(kinds),
            "headers": responses::headers(),
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    if needs_token {
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

fn paths(kinds: &[KindDescription]) -> Value {
    let mut paths = Map::new();
    for operation in Operation::ALL {
        let path = paths.entry(operation.path()).or_insert_with(|| json!({}));
        path[operation.method().as_str().to_ascii_lowercase()] = item(operation, kinds);
    }
    Value::Object(paths)
}

fn item(operation: Operation, kinds: &[KindDescription]) -> Value {
    let mut item = json!({
        "operationId": operation.id(),
        "summary": operation.summary(),
        "parameters": parameters::of(operation),
        "responses": responses::of(operation),
    });
    if matches!(operation, Operation::Call | Operation::Cast) {
        item["requestBody"] = body(kinds);
    }
    item
}

/// The commands of the registered kinds, as examples: each kind decides for itself what it reads.
fn body(kinds: &[KindDescription]) -> Value {
    let mut examples = Map::new();
    for kind in kinds {
        for (number, command) in kind.examples.iter().enumerate() {
            let example = json!({ "summary": format!("{}: {}", kind.kind, kind.summary), "value": command });
            examples.insert(format!("{}-{}", kind.kind, number + 1), example);
        }
    }
    let content = json!({ "schema": { "$ref": "#/components/schemas/Command" }, "examples": examples });
    json!({ "required": true, "description": "A command of the kind.", "content": { "application/json": content } })
}
