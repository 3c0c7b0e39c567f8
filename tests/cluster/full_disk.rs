//! The volume of one node is full.

use std::fs;

use tokio::time::Instant;

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Nodes, free_ports, until},
    privileges::Volume,
    process::playhouse,
};

const VOLUME: &str = "400m";
/// More than the volume has.
const FILL: usize = 500 << 20;
const CHUNK: usize = 1 << 20;

/// It can commit nothing, so it leads nothing and says that it is not ready; the others go on. When there is space again, it
/// does all it did before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_full_volume_hands_its_leaderships_to_others() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::prepare(playhouse, &free_ports(NODES), &["store.reserve_bytes=40MiB"]);
    let volume = match Volume::mount(&nodes.nodes[1].data(), VOLUME) {
        Ok(volume) => volume,
        Err(reason) => return println!("not tested, because a small volume cannot be made here: {reason}"),
    };
    nodes.nodes.iter_mut().for_each(|node| node.start());
    nodes.until_whole().await;
    let load = Load::start("full", CLIENTS, || nodes.any());
    nodes.nodes[1].until_leading().await;
    load.until_answers(100).await;

    let ballast = nodes.nodes[1].data().join("ballast");
    let begin = Instant::now();
    fill(&ballast);
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

/// Until there is no space at all.
fn fill(ballast: &std::path::Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).unwrap();
    let chunk = vec![1; CHUNK];
    for _ in 0..FILL / CHUNK {
        if file.write_all(&chunk).is_err() {
            return;
        }
    }
    panic!("{VOLUME} had room for {FILL} bytes");
}
