//! All nodes are gone at once, as when the power fails; and all but one.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{Nodes, until},
    process::{http, playhouse},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_end_of_all_nodes_at_once() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("power", CLIENTS, || nodes.any());
    load.until_answers(300).await;
    let killed = Instant::now();
    futures_util::future::join_all(nodes.nodes.iter_mut().map(|node| node.kill())).await;
    let (first, others) = nodes.nodes.split_first_mut().unwrap();
    first.start();
    until("the first one lives", async || first.ops("/livez").await.is_some()).await;
    // It waits for the others; a client that waited for it would wait with it.
    let refused = tokio::net::TcpStream::connect(first.ports.gateway).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    others.iter_mut().for_each(|node| node.start());
    nodes.until_whole().await;
    load.until_answers(100).await;
    let mut book = load.stop().await;
    book.pauses(&[killed]).print("kill -9 of all nodes at once");
    book.settle(&nodes.any()).await;
    book.audit(&nodes, &[0, 1, 2]).await;
}

/// The longest that a request may wait for a leader, and what a busy machine adds.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);

/// One node of three acknowledges nothing and tells nothing old, says so quickly, and serves again with the first that
/// returns.
#[tokio::test(flavor = "multi_thread")]
async fn a_minority_refuses_and_goes_on_when_one_returns() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("minority", CLIENTS, || nodes.any());
    load.until_answers(100).await;
    for gone in [1, 2] {
        nodes.nodes[gone].kill().await;
    }
    let survivor = &nodes.nodes[0];
    until("the survivor is not ready", async || !survivor.is_ready().await).await;
    // Each group gives up by itself. Until then a call may be proposed, and its outcome is unknown.
    survivor.until_led_none().await;
    for key in 0..24 {
        let begin = Instant::now();
        let add = r#"{"add": 1}"#;
        let head =
            format!("POST /v1/entities/counter/refused-{key}/call HTTP/1.1\r\nhost: t\r\nconnection: close");
        let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {}", add.len());
        let (status, answer) =
            http(survivor.ports.gateway, &format!("{head}\r\n\r\n{add}")).await.expect("it answers");
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains(r#""code":"unavailable""#), "{answer}");
        assert!(answer.contains(r#""retry_after":"#), "{answer}");
        assert!(begin.elapsed() < REFUSED_WITHIN, "refused after {:?}", begin.elapsed());
    }
    nodes.nodes[1].start_again().await;
    load.until_answers(100).await;
    nodes.nodes[0].until_ready().await;
    nodes.nodes[2].start_again().await;
    nodes.until_whole().await;
    let mut book = load.stop().await;
    book.settle(&nodes.any()).await;
    book.audit(&nodes, &[0, 1, 2]).await;
}
