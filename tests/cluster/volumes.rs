//! Volumes are lost, or come back from a copy.

use std::{fs, path::Path};

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Node, Nodes},
    process::playhouse,
};

/// Every volume is lost once, so in the end nobody has one of the first: what is there was copied from replica to replica.
#[tokio::test(flavor = "multi_thread")]
async fn each_volume_is_lost_in_turn_and_nothing_with_it() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("volumes", CLIENTS, || nodes.any());
    load.until_answers(200).await;
    let old = raft_ids(&nodes.nodes[0]).await;
    for at in [2, 0, 1] {
        let node = &mut nodes.nodes[at];
        node.stop().await;
        fs::remove_dir_all(node.data()).unwrap();
        node.start_again().await;
        nodes.until_whole().await;
        load.until_answers(100).await;
    }
    let new = raft_ids(&nodes.nodes[0]).await;
    assert_eq!(new.len(), NODES);
    assert!(new.iter().all(|id| !old.contains(id)), "an id returned: {old:?}, then {new:?}");
    // Each node alone stays away once, so that the others answer of what they have.
    for away in 0..NODES {
        nodes.nodes[away].kill().await;
        nodes.until_led_by(&[(away + 1) % NODES, (away + 2) % NODES]).await;
        load.until_answers(50).await;
        nodes.nodes[away].start_again().await;
        nodes.until_whole().await;
    }
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}

async fn raft_ids(node: &Node) -> Vec<String> {
    node.members().await.into_iter().map(|member| member.raft_id).collect()
}

/// A volume that was restored from a copy forgot what it promised since. Its node does not start, and harms nobody; with an
/// empty volume, as it says itself, it is welcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_restored_volume_refuses_to_run() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("restored", CLIENTS, || nodes.any());
    let copy = nodes.folder().join("copy");
    let node = &mut nodes.nodes[2];
    node.stop().await;
    copy_folder(&node.data(), &copy);
    node.start_again().await;
    node.until_ready().await;
    load.until_answers(200).await;
    node.stop().await;
    fs::remove_dir_all(node.data()).unwrap();
    copy_folder(&copy, &node.data());
    node.start();
    assert!(!node.ended().await.success());
    let log = node.log();
    let words = ["restored from an old copy", "give the node an empty volume"];
    assert!(log.lines().any(|line| words.iter().all(|word| line.contains(word))), "{log}");
    load.until_answers(100).await;
    fs::remove_dir_all(node.data()).unwrap();
    node.start_again().await;
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
