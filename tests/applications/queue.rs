//! A supervised process consumes a durable queue across the death of its node.

use std::time::Duration;

use playhouse_client::Client;
use serde_json::{Value, json};

use crate::{
    ONE_AT_A_TIME,
    consumer::{ACKED, BAD_LUCK, HEARD, QUEUE, WORKED},
    nodes::{NODES, Nodes, PATIENCE, until},
};

const ITEMS: u64 = 60;

async fn count(client: &Client, name: &str) -> u64 {
    let counted: Value = client.entity("counter", name).unwrap().call(&json!({"get": {}})).await.unwrap();
    counted["value"].as_u64().unwrap()
}

async fn ask(client: &Client, kind: &str, key: &str, command: Value) -> Value {
    client.entity(kind, key).unwrap().call(&command).await.unwrap()
}

async fn push(client: &Client, items: u64) {
    let items: Vec<_> = (0..items).collect();
    ask(client, "queue", QUEUE, json!({"push_many": {"items": items}})).await;
}

/// Returns when the queue is empty.
async fn until_consumed(client: &Client) {
    until("everything is consumed", async || {
        let stats = ask(client, "queue", QUEUE, json!({"stats": {}})).await;
        assert_eq!(stats["dead"], 0, "no item fails too often");
        ["ready", "delayed", "leased"].iter().all(|what| stats[*what] == 0)
    })
    .await;
}

/// Which node consumes, of those that run.
async fn consuming(nodes: &Nodes, but: Option<usize>) -> usize {
    let consumes = |at: &usize| {
        let node = &nodes.nodes[*at];
        Some(*at) != but && node.log().contains(&format!("{} consumes", node.name))
    };
    let mut found = None;
    until("a node consumes", async || {
        found = (0..NODES).find(consumes);
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Every item is worked at once or more, and nothing but an acknowledgement takes it out of the queue: each is answered once at most.
async fn check(client: &Client, items: u64) {
    let mut again = 0;
    for item in 1..=items {
        let worked = count(client, &format!("{WORKED}-{item}")).await;
        let acked = count(client, &format!("{ACKED}-{item}")).await;
        assert!(worked >= 1, "item {item} was lost");
        assert!(worked >= 2 || item % BAD_LUCK != 0, "item {item} crashed its worker");
        assert!(acked <= 1, "item {item} was acknowledged twice");
        again += u64::from(worked > 1);
    }
    println!("{items} items, {again} of them worked at more than once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_is_worked_at_and_acknowledged_once_across_the_death_of_the_consumers_node() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(crate::consumer, &[]).await;
    let first = consuming(&nodes, None).await;
    let others: Vec<_> = (0..NODES).filter(|at| *at != first).collect();
    let client = nodes.client(&others);
    // Bad luck is no reason to give an item up.
    ask(&client, "queue", QUEUE, json!({"configure": {"max_attempts": 100}})).await;
    push(&client, ITEMS).await;
    until("it is in the middle of it", async || count(&client, &format!("{ACKED}-{}", ITEMS / 4)).await > 0)
        .await;

    let killed = tokio::time::Instant::now();
    nodes.nodes[first].kill().await;
    let second = consuming(&nodes, Some(first)).await;
    println!("another node consumes {:?} after the kill", killed.elapsed());
    assert_ne!(first, second);
    until_consumed(&client).await;
    push(&client, ITEMS).await;
    until_consumed(&client).await;
    check(&client, 2 * ITEMS).await;

    // The other way round: an entity tells the process, wherever it is now.
    ask(&client, "doorbell", "front", json!({"ring": {}})).await;
    until("the process hears the bell", async || count(&client, HEARD).await == 1).await;
    until("the entity knows", async || {
        ask(&client, "doorbell", "front", json!({"look": {}})).await == json!({"rung": 1, "heard": 1})
    })
    .await;

    // A node that leaves in order hands the name over without waiting for its death.
    let leaving = tokio::time::Instant::now();
    nodes.nodes[first].start_again().await;
    nodes.nodes[second].stop().await;
    push(&client, ITEMS).await;
    until_consumed(&client).await;
    check(&client, 3 * ITEMS).await;
    assert!(leaving.elapsed() < PATIENCE + Duration::from_secs(60));
}
