//! A majority of volumes is lost for good.

use std::fs;

use serde_json::Value;

use crate::{
    CLIENTS, ONE_AT_A_TIME, ask, copy_folder,
    load::Load,
    nodes::{Nodes, SHARDS, until},
    process::playhouse,
    run,
};

/// Three of three volumes have everything, two are lost, and the cluster goes on with the third.
#[tokio::test(flavor = "multi_thread")]
async fn one_volume_goes_on_after_two_are_lost() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("kept", CLIENTS, || nodes.any());
    load.until_answers(300).await;
    let mut book = load.stop().await;
    book.settle(&nodes.any()).await;
    until_all_have_all(&nodes).await;
    let before = cluster_id(&nodes).await;
    let consent = ["recover-shard", "--all", "--lost=node-0", "--lost=node-1", "--i-accept-data-loss=all"];
    run(nodes.nodes[2].offline(&consent)).await.assert_refused(1, &["in use"]);

    for node in &mut nodes.nodes {
        node.kill().await;
    }
    let old = nodes.nodes[1].data().with_extension("old");
    copy_folder(&nodes.nodes[1].data(), &old);
    for node in &nodes.nodes[..2] {
        fs::remove_dir_all(node.data()).unwrap();
    }
    let survivor = &mut nodes.nodes[2];
    let identity = survivor.data().join("identity");
    let known = fs::read(&identity).unwrap();
    let look = run(survivor.offline(&consent[..4])).await;
    look.assert_refused(3, &["nothing was changed", "--i-accept-data-loss all"]);
    assert!(look.out.contains("shard 15") && look.out.contains("node-0, node-1, node-2"), "{look:?}");
    assert!(look.out.contains("STATE AS OF") && look.out.contains(" ms "), "{look:?}");
    let refused = [
        (&["--all", "--lost=node-1"][..], "node-0, node-2", 3),
        (&["--all", "--lost=node-0", "--lost=node-9"], "no member is called node-9", 3),
        (&["--all", "--lost=node-2"], "node of this volume", 3),
        (&["--shard=3", "--lost=node-0", "--lost=node-1"], "only --all is supported", 3),
        (
            &["--shard=3", "--lost=node-0", "--lost=node-1", "--i-accept-data-loss=3"],
            "only --all is supported",
            3,
        ),
        (&["--all", "--lost=node-0", "--lost=node-1", "--i-accept-data-loss=3"], "does not name", 2),
    ];
    for (arguments, words, code) in refused {
        let arguments = [&["recover-shard"], arguments].concat();
        run(survivor.offline(&arguments)).await.assert_refused(code, &[words, "nothing was changed"]);
    }
    assert_eq!(fs::read(&identity).unwrap(), known);
    assert!(!survivor.data().join("recoveries").exists());

    let done = run(survivor.offline(&consent)).await;
    done.assert_done();
    assert!(done.out.contains("recorded on the volume"), "{done:?}");
    run(survivor.offline(&consent)).await.assert_refused(3, &["nothing was changed"]);
    survivor.start_again().await;
    book.audit(&nodes, &[2]).await;
    for node in &mut nodes.nodes[..2] {
        node.start();
    }
    nodes.until_whole().await;
    book.audit(&nodes, &[0, 1, 2]).await;
    let after = cluster_id(&nodes).await;
    assert_ne!(after, before);
    let status = ask(&nodes, &["status"]).await;
    let recovered = format!("cluster {before} became {after}");
    assert!(status.out.contains("recovered node-2: all 17 groups went on"), "{status:?}");
    assert!(status.out.contains(&recovered), "{status:?}");
    nodes.nodes[2].until_logged(&["went on without a majority", "node-0, node-1"]).await;

    // What is there now was copied from the survivor, and does not need it.
    nodes.nodes[2].kill().await;
    nodes.until_led_by(&[0, 1]).await;
    book.audit(&nodes, &[0]).await;

    // A volume that was said to be lost finds nobody to go on with.
    nodes.nodes[2].start_again().await;
    let back = &mut nodes.nodes[1];
    back.kill().await;
    fs::remove_dir_all(back.data()).unwrap();
    fs::rename(old, back.data()).unwrap();
    back.start();
    nodes.nodes[0].until_logged(&["a peer is refused", &format!("not to {before}")]).await;
    nodes.until_led_by(&[0, 2]).await;
    assert!(!nodes.nodes[1].is_ready().await);
    book.audit(&nodes, &[0, 2]).await;
}

async fn json(nodes: &Nodes, view: &str) -> Value {
    let printed = ask(nodes, &["--output", "json", view]).await;
    serde_json::from_str(&printed.out).unwrap_or_default()
}

async fn cluster_id(nodes: &Nodes) -> String {
    json(nodes, "status").await["cluster"]["cluster_id"].as_str().unwrap().to_owned()
}

/// No replica lacks anything.
async fn until_all_have_all(nodes: &Nodes) {
    until("all replicas have everything", async || {
        let shards = json(nodes, "shards").await;
        let shards = shards["shards"].as_array().cloned().unwrap_or_default();
        let has_all = |shard: &Value| {
            let replicas = shard["replicas"].as_array().unwrap();
            shard["leader"].is_string() && replicas.iter().all(|replica| replica["lag"] == 0)
        };
        shards.len() == SHARDS && shards.iter().all(has_all)
    })
    .await;
}
