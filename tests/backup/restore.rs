//! A backup is taken under load while a node is lost; another cluster begins with it.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use playhouse_client::{Client, Idempotency, IdempotencyKey, Options};
use serde_json::{Value, json};

use crate::{
    CLIENTS, ONE_AT_A_TIME, ask, copy_folder,
    load::Load,
    nodes::{NODES, Nodes, free_ports},
    process::playhouse,
    run,
};

/// Adds 5 to the counter `once`, once.
async fn add_once(client: &Client) -> Value {
    let key = IdempotencyKey::new("only-once").unwrap();
    let options = Options { idempotency: Idempotency::Key(key), ..Options::default() };
    let counter = client.entity("counter", "once").unwrap();
    counter.call_with::<_, Value>(&json!({"add": 5}), &options).await.unwrap().reply
}

async fn value(client: &Client, counter: &str) -> i64 {
    let entity = client.entity("counter", counter).unwrap();
    let reply: Value = entity.call(&json!({"get": {}})).await.unwrap();
    reply["value"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_becomes_another_cluster() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut old = Nodes::start(playhouse, &[]).await;
    let once = add_once(&old.any()).await;
    let load = Load::start("copied", CLIENTS, || old.any());
    load.until_answers(400).await;
    let told = load.told();
    assert!(told.iter().any(|(_, told)| *told > 0));

    // A third of the shards has no leader when it begins.
    old.nodes[2].kill().await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().join("copy");
    let path = folder.to_str().unwrap();
    let taken = ask(&old, &["backup", "--output", "json", "--to", path]).await;
    taken.assert_done();
    let summary: Value = serde_json::from_str(&taken.out).unwrap();
    all_were_opened_before_one_was_read(&folder);
    assert_eq!(summary["shards"], 16);
    assert!(summary["pairs"].as_u64().unwrap() > 64, "{summary}");
    load.until_answers(100).await;
    let mut book = load.stop().await;
    old.nodes[2].start_again().await;
    book.settle(&old.any()).await;
    old.until_whole().await;
    book.audit(&old, &[0]).await;
    ask(&old, &["backup", "--to", path]).await.assert_refused(3, &["copy exists", "nothing was written"]);
    let verified = run(playhouse(&["backup".into(), "verify".into(), path.into()])).await;
    verified.assert_done();
    assert!(verified.out.contains("16 shards"), "{verified:?}");

    what_is_damaged_is_refused(&folder).await;
    what_has_data_is_refused(&mut old, &folder).await;

    let ceiling = told_by(&old.any(), &told).await;
    drop(old);
    let mut new = Nodes::prepare(playhouse, &free_ports(NODES), &[]);
    let restore = ["restore", "--from", path];
    run(new.nodes[1].offline(&restore)).await.assert_refused(3, &["node-0 does", "nothing was written"]);
    new.nodes[0].settings.push("node.shards=8".to_owned());
    run(new.nodes[0].offline(&restore)).await.assert_refused(3, &["16 shards", "nothing was written"]);
    new.nodes[0].settings.clear();
    assert!(!new.nodes[0].data().exists());
    run(new.nodes[0].offline(&restore)).await.assert_done();
    run(new.nodes[0].offline(&restore)).await.assert_refused(3, &["not empty", "nothing was changed"]);
    new.nodes.iter_mut().for_each(crate::nodes::Node::start);
    new.until_whole().await;
    has_everything(&new.any(), &told, &ceiling).await;
    assert_eq!(add_once(&new.any()).await, once, "it was done before the backup");
    assert_eq!(value(&new.any(), "once").await, 5);

    // The others have it, too; and it goes on.
    new.nodes[0].kill().await;
    new.until_led_by(&[1, 2]).await;
    let client = new.client(&[1, 2]);
    has_everything(&client, &told, &ceiling).await;
    let counter = client.entity("counter", "once").unwrap();
    let reply: Value = counter.call(&json!({"add": 1})).await.unwrap();
    assert_eq!(reply["value"], 6);
    drop(new);
    one_node_begins_with_it(&folder, &told, &ceiling).await;
}

/// What goes through between shards was cut for as long as the backup took, when they were opened one after the other.
fn all_were_opened_before_one_was_read(folder: &Path) {
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let written = fs::metadata(folder.join(files[0]["file"].as_str().unwrap())).unwrap().modified().unwrap();
    // The clock of files ticks more coarsely.
    let written = written + Duration::from_millis(20);
    for file in files {
        let taken = UNIX_EPOCH + Duration::from_millis(file["taken_ms"].as_u64().unwrap());
        assert!(taken <= written, "{file} was opened after the first one was read");
    }
}

/// The values that counters have now: no copy of earlier has more.
async fn told_by(client: &Client, told: &[(String, i64)]) -> Vec<i64> {
    let mut values = Vec::new();
    for (counter, _) in told {
        values.push(value(client, counter).await);
    }
    values
}

/// Everything that was acknowledged before the backup, and nothing that never happened.
async fn has_everything(client: &Client, told: &[(String, i64)], ceiling: &[i64]) {
    for ((counter, told), ceiling) in told.iter().zip(ceiling) {
        let value = value(client, counter).await;
        assert!((*told..=*ceiling).contains(&value), "{counter}: {value} is not in {told}..={ceiling}");
    }
}

async fn what_is_damaged_is_refused(folder: &Path) {
    let damaged = folder.with_extension("damaged");
    copy_folder(folder, &damaged);
    let path = damaged.to_str().unwrap();
    let name = "shard-00007.playhouse";
    let mut bytes = fs::read(damaged.join(name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(damaged.join(name), bytes).unwrap();
    let verify = async || run(playhouse(&["backup".into(), "verify".into(), path.into()])).await;
    verify().await.assert_refused(1, &[name, "is damaged"]);
    let fresh = Nodes::prepare(playhouse, &free_ports(NODES), &[]);
    let restore = async || run(fresh.nodes[0].offline(&["restore", "--from", path])).await;
    restore().await.assert_refused(1, &[name, "is damaged", "nothing was written"]);
    fs::remove_file(damaged.join("manifest.json")).unwrap();
    verify().await.assert_refused(1, &["manifest.json"]);
    restore().await.assert_refused(1, &["manifest.json", "nothing was written"]);
    assert!(!fresh.nodes[0].data().exists());
}

/// Neither the volume of a node that runs, nor one that was used; and a restored volume does not get into a cluster.
async fn what_has_data_is_refused(old: &mut Nodes, folder: &Path) {
    let restore = ["restore", "--from", folder.to_str().unwrap()];
    run(old.nodes[0].offline(&restore)).await.assert_refused(3, &["in use"]);
    let node = &mut old.nodes[0];
    node.stop().await;
    run(node.offline(&restore)).await.assert_refused(3, &["not empty", "nothing was changed"]);
    let aside = node.data().with_extension("aside");
    fs::rename(node.data(), &aside).unwrap();
    run(node.offline(&restore)).await.assert_done();
    node.start();
    assert!(!node.ended().await.success());
    node.until_logged(&["never mixed"]).await;
    fs::remove_dir_all(node.data()).unwrap();
    fs::rename(&aside, node.data()).unwrap();
    node.start_again().await;
    old.until_whole().await;
}

async fn one_node_begins_with_it(folder: &Path, told: &[(String, i64)], ceiling: &[i64]) {
    let mut alone = Nodes::prepare(playhouse, &free_ports(NODES), &["bootstrap.members=node-0"]);
    let node = &mut alone.nodes[0];
    run(node.offline(&["restore", "--from", folder.to_str().unwrap()])).await.assert_done();
    node.start_again().await;
    has_everything(&alone.client(&[0]), told, ceiling).await;
}
