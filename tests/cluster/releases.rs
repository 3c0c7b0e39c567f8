//! A node whose release lacks a kind is a gateway for it all the same.

use playhouse_client::{CastError, ReadError};
use serde_json::{Value, json};

use crate::{
    ONE_AT_A_TIME, bank,
    nodes::{NODES, Node, Nodes, free_ports, until},
    process::playhouse,
};

/// Enough that each node leads the shards of some.
const ACCOUNTS: usize = 32;

/// The first node is of a release without accounts. Through it some are opened; those whose shards it leads itself are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_a_kind_that_its_release_lacks() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::prepare(bank::program, &free_ports(NODES), &[]);
    nodes.nodes[0].program = playhouse;
    nodes.nodes.iter_mut().for_each(Node::start);
    nodes.until_whole().await;
    for node in &nodes.nodes {
        node.until_leading().await;
    }
    let [old, new] = [nodes.client(&[0]), nodes.client(&[1])];
    let (mut opened, mut unknown) = (Vec::new(), 0);
    for name in (0..ACCOUNTS).map(|number| format!("account-{number}")) {
        let account = old.entity("account", &name).unwrap();
        match account.cast(&json!({"open": {"balance": 100}})).await {
            Ok(()) => opened.push(name),
            Err(CastError::Rejected(problem)) if problem.code == "unknown_kind" => unknown += 1,
            Err(error) => panic!("{name}: {error}"),
        }
    }
    println!("releases: {} accounts were opened, {unknown} were not", opened.len());
    assert!(!opened.is_empty() && unknown > 0, "both releases lead shards");
    for name in &opened {
        for client in [&old, &new] {
            let account = client.entity("account", name).unwrap();
            // Should its leadership have moved to the old release, it moves back or the test fails.
            until("the account is shown", async || match account.get::<Value>().await {
                Ok(view) => {
                    assert_eq!(view.state["balance"], 100, "what was accepted is committed");
                    true
                }
                Err(ReadError::Rejected(problem)) => {
                    assert_eq!(problem.code, "unknown_kind");
                    false
                }
                Err(error) => panic!("{name}: {error}"),
            })
            .await;
        }
    }
    let metrics = nodes.nodes[0].metrics().await.expect("it answers");
    let count = |labels: &str| metrics.get(&format!("playhouse_calls_total{{{labels}}}")).unwrap_or_default();
    assert!(count(r#"code="ok",kind="unknown""#) >= opened.len() as f64);
    assert!(count(r#"code="unknown_kind",kind="unknown""#) >= f64::from(unknown));
    assert_eq!(count(r#"code="ok",kind="account""#), 0.0, "no label for what somebody names");
}
