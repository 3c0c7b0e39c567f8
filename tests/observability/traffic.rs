//! A little of everything that clients do.

use serde_json::{Value, json};

use crate::cluster::DevCluster;

/// Calls, casts, reads, and a request that is refused, through every node.
pub async fn all_sorts(cluster: &DevCluster) {
    for number in 0..cluster.nodes.len() {
        let client = cluster.client(number);
        let counter = client.entity("counter", "visits").unwrap();
        let _: Value = counter.call(&json!({"add": 1})).await.unwrap();
        counter.cast(&json!({"add": 1})).await.unwrap();
        let nowhere = client.entity("no-such-kind", "visits").unwrap();
        nowhere.call::<_, Value>(&json!({})).await.unwrap_err();
    }
}
