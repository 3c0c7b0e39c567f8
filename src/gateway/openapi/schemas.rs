//! The JSON of answers. A test compares each with a real answer.

use serde_json::{Map, Value, json};

/// All schemas by name.
pub(super) fn all() -> Value {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "Command": { "description": "Any JSON that the kind reads; see GET /v1/kinds." },
        "Reply": { "description": "Any JSON, as the kind writes it." },
        "Document": { "type": "object" },
        "View": object(&[
            ("kind", text.clone()),
            ("key", text.clone()),
            ("shard", count.clone()),
            ("node", text.clone()),
            ("revision", count.clone()),
            ("state", json!({ "description": "Any JSON, as the kind shows it." })),
        ]),
        "Page": object(&[
            ("entities", list_of("Entity")),
            ("next_after", json!({ "type": ["string", "null"], "description": "Give it as `after` to get the next page." })),
        ]),
        "Entity": object(&[("key", text.clone()), ("revision", count.clone())]),
        "Kinds": object(&[("kinds", list_of("Kind"))]),
        "Kind": object(&[
            ("kind", text.clone()),
            ("summary", text.clone()),
            ("durable", json!({ "type": "boolean", "description": "Whether it survives a crash." })),
            ("schema", count.clone()),
            ("reads_from", count.clone()),
            ("examples", json!({ "type": "array", "items": {} })),
        ]),
        "Problem": problem(&text),
    })
}

/// RFC 9457. The members after `request_id` come with some codes only.
fn problem(text: &Value) -> Value {
    let mut schema = object(&[
        ("type", json!({ "const": "about:blank" })),
        ("title", text.clone()),
        ("status", json!({ "type": "integer" })),
        ("detail", text.clone()),
        ("code", json!({ "type": "string", "description": "Stable; programs look at it." })),
        ("request_id", text.clone()),
    ]);
    let more = json!({
        "path": { "type": "string", "description": "JSON path of the fault, with `invalid_body`." },
        "refusal": { "type": "string", "description": "The kind's own code, with `refused`." },
        "bytes": { "type": "integer", "description": "How large it is, with `too_large`." },
        "bytes_max": { "type": "integer", "description": "How large it may be, with `too_large`." },
        "retry_after": { "type": "integer", "description": "Seconds, with every 503." },
    });
    if let (Some(properties), Value::Object(more)) = (schema["properties"].as_object_mut(), more) {
        properties.extend(more);
    }
    schema
}

/// An object whose fields are all there.
fn object(fields: &[(&str, Value)]) -> Value {
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<_, _> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

fn list_of(schema: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } })
}
