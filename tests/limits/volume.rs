//! A volume that is not what the node was told: refused by name, and left as it is.

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

use serde_json::json;

use super::{
    call,
    process::{NodeProcess, playhouse, refusal},
    value,
};

/// Every file with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[tokio::test]
async fn the_wrong_volume_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(playhouse, directory.path(), &[]).await;
    assert_eq!(call(&node, "counter/c", "", &json!({"add": 7})).await.unwrap().0, 200);
    let (code, says) = refusal(playhouse, directory.path(), &[]).await;
    assert_eq!(code, 1);
    assert!(says.contains("in use by another process"), "{says}");
    node.terminate().await;
    assert_eq!(node.ended().await.code(), Some(0));

    for (setting, reason) in [
        ("node.shards=8", "this cluster has 16 shards, but 8 are configured"),
        ("node.name=playhouse-7", "belongs to the node playhouse-0, but this node is playhouse-7"),
    ] {
        let before = files(directory.path());
        let (code, says) = refusal(playhouse, directory.path(), &[setting]).await;
        assert_eq!(code, 1, "{setting}");
        assert!(says.contains(reason), "{setting}: {says}");
        assert!(says.contains("nothing was changed"), "{says}");
        assert!(files(directory.path()) == before, "{setting} changed the volume");
    }

    // The identity is right, so a new incarnation of it is on the volume; the store is untouched.
    let store = directory.path().join("data/store");
    let before = files(&store);
    let (code, says) = refusal(playhouse, directory.path(), &["store.engine=sled"]).await;
    assert_eq!(code, 1);
    assert!(says.contains("fjall") && says.contains("sled"), "{says}");
    assert!(files(&store) == before, "another engine changed the store");

    node.start_again().await;
    assert_eq!(value(&node, "c").await, 7);
    node.kill().await;
}

/// The file of another volume, and one that somebody changed by hand.
#[tokio::test]
async fn a_foreign_identity_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(playhouse, directory.path(), &[]).await;
    assert_eq!(call(&node, "counter/c", "", &json!({"add": 7})).await.unwrap().0, 200);
    node.kill().await;
    let path = directory.path().join("data/identity");
    let ours = fs::read_to_string(&path).unwrap();

    let edited = ours.replace("shards = 16", "shards = 8");
    fs::write(&path, &edited).unwrap();
    let before = files(directory.path());
    let (code, says) = refusal(playhouse, directory.path(), &[]).await;
    assert_eq!(code, 1);
    assert!(says.contains(path.to_str().unwrap()) && says.contains("is damaged"), "{says}");
    assert!(files(directory.path()) == before);

    fs::remove_file(&path).unwrap();
    let before = files(directory.path());
    let (code, says) = refusal(playhouse, directory.path(), &[]).await;
    assert_eq!(code, 1);
    assert!(says.contains("is missing, but the volume is not empty"), "{says}");
    assert!(files(directory.path()) == before);

    fs::write(&path, &ours).unwrap();
    node.start_again().await;
    assert_eq!(value(&node, "c").await, 7);
    node.kill().await;
}
