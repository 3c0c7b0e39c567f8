//! What must not happen, and what is left when it does: disks that hang, clusters that are gone.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // All of this file is a test, its helpers too.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "disaster/disk.rs"]
mod disk;
#[path = "support/process.rs"]
mod process;

use playhouse_client::Client;
use serde_json::{Value, json};

/// Adds to a counter; returns its new value.
async fn add(client: &Client, key: &str, number: u64) -> u64 {
    let reply: Value = client.entity("counter", key).unwrap().call(&json!({"add": number})).await.unwrap();
    reply["value"].as_u64().unwrap()
}
