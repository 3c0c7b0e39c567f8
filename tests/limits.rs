//! A node at its limits, as its operator sees it: no space, told to leave, the wrong volume, handlers that panic.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // All of this file is a test, its helpers too.

#[path = "limits/drain.rs"]
mod drain;
#[path = "limits/fragile.rs"]
mod fragile;
#[path = "support/process.rs"]
mod process;
#[path = "limits/settings.rs"]
mod settings;
#[path = "limits/space.rs"]
mod space;
#[path = "limits/volume.rs"]
mod volume;

use serde_json::{Value, json};

use process::{NodeProcess, http};

/// One call over a connection of its own, without any retry. `None`: the connection ended before the answer.
async fn call(node: &NodeProcess, entity: &str, headers: &str, command: &Value) -> Option<(u16, Value)> {
    let body = command.to_string();
    let request = format!(
        "POST /v1/entities/{entity}/call HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = http(node.gateway(), &request).await?;
    Some((status, serde_json::from_str(&body).unwrap_or_default()))
}

async fn value(node: &NodeProcess, key: &str) -> u64 {
    let counter = node.client().entity("counter", key).unwrap();
    let reply: Value = counter.call(&json!({"get": {}})).await.unwrap();
    reply["value"].as_u64().unwrap()
}
