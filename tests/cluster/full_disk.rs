//! The volume of one node is full.

use std::{fs, path::Path};

use tokio::time::Instant;

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Node, Nodes, free_ports, until},
    privileges::{Volume, not_tested},
    process::playhouse,
};

const VOLUME: &str = "400m";
/// What the node keeps free.
const RESERVE: f64 = (40 << 20) as f64;
static CHUNK: [u8; 1 << 20] = [1; 1 << 20];

/// It can commit nothing, so it leads nothing and says that it is not ready; the others go on. When there is space again, it
/// does all it did before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_full_volume_hands_its_leaderships_to_others() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::prepare(playhouse, &free_ports(NODES), &["store.reserve_bytes=40MiB"]);
    let volume = match Volume::mount(&nodes.nodes[1].data(), VOLUME) {
        Ok(volume) => volume,
        Err(reason) => return not_tested("a small volume", &reason),
    };
    nodes.nodes.iter_mut().for_each(|node| node.start());
    nodes.until_whole().await;
    let load = Load::start("full", CLIENTS, || nodes.any());
    nodes.nodes[1].until_leading().await;
    load.until_answers(100).await;

    let ballast = nodes.nodes[1].data().join("ballast");
    let begin = Instant::now();
    fill(&nodes.nodes[1], &ballast).await;
    until("the full node is not ready", async || !nodes.nodes[1].is_ready().await).await;
    let (_, why) = nodes.nodes[1].ops("/readyz").await.expect("it answers");
    assert!(why.contains("the volume is full"), "{why}");
    nodes.until_led_by(&[0, 2]).await;
    load.until_answers(300).await;

    fs::remove_file(&ballast).unwrap();
    nodes.until_whole().await;
    nodes.nodes[1].until_leading().await;
    load.until_answers(100).await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.pauses(&[begin]).print("a full volume");
    book.audit(&nodes, &[0, 1, 2]).await;
    drop((nodes, volume));
}

/// Until less is free than the node keeps for itself, but not all: no engine survives that.
async fn fill(node: &Node, ballast: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).unwrap();
    let free = async || node.metrics().await.and_then(|metrics| metrics.get("playhouse_store_free_bytes"));
    while free().await.is_none_or(|free| free > RESERVE - 2.0 * CHUNK.len() as f64) {
        file.write_all(&CHUNK).unwrap();
    }
}
