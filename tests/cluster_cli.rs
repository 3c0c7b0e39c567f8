//! A cluster of real processes, and what operators do with it on the command line.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/process.rs"]
mod process;

use cluster::{DevCluster, Printed, is_running, signal, terminate, until};
use serde_json::{Value, json};

async fn add(cluster: &DevCluster, through: usize) -> Value {
    let counter = cluster.client(through).entity("counter", "visits").unwrap();
    let called = counter.call(&json!({"add": 1})).await;
    if called.is_err() {
        // What the cluster says about itself tells more than the error.
        for view in ["nodes", "shards", "status"] {
            eprintln!("{}", cluster.run(&["--output", "json", view]).await.out);
        }
    }
    let reply: Value = called.unwrap();
    reply["value"].clone()
}

async fn member(cluster: &DevCluster, name: &str) -> Value {
    member_of(&cluster.run(&["--output", "json", "nodes"]).await, name)
}

fn member_of(nodes: &Printed, name: &str) -> Value {
    let members = nodes.json()["members"].as_array().unwrap().clone();
    members.into_iter().find(|member| member["name"] == name).unwrap()
}

#[tokio::test]
async fn a_cluster_is_seen_drained_and_survives_a_killed_node() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::start(directory.path(), 3).await;
    assert_eq!(add(&cluster, 0).await, 1);
    assert_eq!(add(&cluster, 2).await, 2);

    let status = cluster.until_well().await;
    assert!(status.out.contains("members  3 up\n") && status.out.contains("all is well"), "{status:?}");
    let nodes = cluster.run(&["nodes"]).await;
    let rows: Vec<_> = nodes.out.lines().skip(1).collect();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.contains(" up ")), "{nodes:?}");
    // On a busy machine there may be an election just now.
    let led = |printed: &Printed| printed.out.starts_with("4 shards: 4 have a leader, 0 move\n");
    cluster.run_until(&["shards"], led).await;
    let shards = cluster.run(&["shards", "--output", "json"]).await.json();
    for shard in shards["shards"].as_array().unwrap() {
        assert_eq!(shard["replicas"].as_array().unwrap().len(), 3, "{shard}");
    }

    cluster.until_counted(0, &["playhouse_members{state=\"up\"} 3", "playhouse_quorum_heard 1"]).await;
    cluster
        .until_counted(0, &["playhouse_peers{state=\"alive\"} 2", "playhouse_shards_without_leader 0"])
        .await;
    for number in 0..3 {
        cluster.until_counted(number, &["playhouse_mail_peers 2", "playhouse_process_peers 2"]).await;
    }
    let metrics = cluster.ops(0, "/metrics").await.1;
    let sent = "playhouse_link_bytes_total{direction=\"out\",lane=\"consensus\"} ";
    let sent = metrics.lines().find_map(|line| line.strip_prefix(sent)).unwrap();
    assert!(sent.parse::<u64>().unwrap() > 0, "{sent}");

    // Drained, and back.
    let drained = cluster.run(&["drain", "playhouse-1"]).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    assert!(drained.out.starts_with("playhouse-1 leads nothing any more, after "), "{drained:?}");
    // On a busy machine it may be elected again, until it hands over once more.
    let rests = |printed: &Printed| {
        let node = member_of(printed, "playhouse-1");
        assert_eq!(node["state"], "draining", "{printed:?}");
        node["leads"] == 0
    };
    cluster.run_until(&["--output", "json", "nodes"], rests).await;
    let status = cluster.run(&["status"]).await;
    assert!(status.code == 1 && status.out.contains("`playhouse undrain playhouse-1`"), "{status:?}");
    assert!(status.out.contains("this node is draining"), "it is not ready: {status:?}");
    cluster.until_counted(1, &["playhouse_node_draining 1", "playhouse_shards_led 0"]).await;
    assert_eq!(cluster.run(&["undrain", "playhouse-1"]).await.code, 0);
    cluster.until_well().await;

    // What must not be done is not done.
    let refused = cluster.run(&["drain", "nobody"]).await;
    assert!(refused.code == 3 && refused.err.contains("no member called nobody"), "{refused:?}");
    let refused = cluster.run(&["leave", "playhouse-2"]).await;
    assert!(refused.code == 3 && refused.err.contains("--force"), "{refused:?}");
    assert_eq!(member(&cluster, "playhouse-2").await["intent"], "stay");
    for command in ["replace", "forget"] {
        let refused = cluster.run(&[command, "playhouse-2"]).await;
        assert!(refused.code == 3 && refused.err.contains("playhouse-2 is not "), "{refused:?}");
    }

    // Killed, and back.
    signal("-KILL", cluster.nodes[1].pid).await;
    assert_eq!(add(&cluster, 0).await, 3);
    assert_eq!(add(&cluster, 2).await, 4);
    let down = cluster.run_until(&["status"], |printed| printed.out.contains("1 down, 2 up")).await;
    assert_eq!(down.code, 1);
    assert!(down.out.contains("not heard: playhouse-1"), "{down:?}");
    assert!(down.out.contains("wrong: playhouse-1 has been down for"), "{down:?}");
    assert!(down.out.contains("`playhouse replace playhouse-1`"), "{down:?}");
    cluster.until_counted(0, &["playhouse_members{state=\"down\"} 1"]).await;
    let mut again = cluster.start_again(1).await;
    cluster.until_well().await;
    assert_eq!(add(&cluster, 1).await, 5);
    terminate(&again).await;
    assert!(again.wait().await.unwrap().success());

    assert!(cluster.terminate().await.success());
    cluster.until_nothing_runs().await;
}

#[tokio::test]
async fn nodes_leave_when_the_process_that_started_them_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::start(directory.path(), 3).await;
    assert!(cluster.nodes.iter().all(|node| is_running(node.pid)));

    // Before the others have a vote, the first is a majority by itself.
    let all_vote = "voters: playhouse-0, playhouse-1, playhouse-2";
    cluster.run_until(&["status"], |printed| printed.out.contains(all_vote)).await;
    cluster.until_well().await;

    // A minority runs, and says that it is of no use.
    signal("-KILL", cluster.nodes[1].pid).await;
    signal("-KILL", cluster.nodes[2].pid).await;
    let ready =
        until(async || Some(cluster.ops(0, "/readyz").await).filter(|(status, _)| *status == 503)).await;
    assert!(ready.1.contains("failed  majority: no majority of the cluster was heard"), "{ready:?}");
    assert_eq!(cluster.ops(0, "/livez").await.0, 200);
    let status = cluster.run(&["status"]).await;
    assert!(status.out.contains("wrong: playhouse-0 hears no majority of the cluster"), "{status:?}");
    let drained = cluster.run(&["drain", "playhouse-0"]).await;
    assert!(drained.code == 4 && drained.err.contains("has no majority"), "{drained:?}");

    assert!(is_running(cluster.nodes[0].pid));
    cluster.process().kill().await.unwrap();
    cluster.until_nothing_runs().await;
}

#[tokio::test]
async fn a_cluster_becomes_smaller_and_keeps_what_it_knows() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::start(directory.path(), 5).await;
    assert_eq!(add(&cluster, 4).await, 1);
    cluster.until_well().await;
    let scaled = cluster.run(&["scale", "3"]).await;
    assert_eq!(scaled.code, 0, "{scaled:?}");
    assert!(scaled.out.contains("stop playhouse-3, playhouse-4"), "{scaled:?}");
    let left = member(&cluster, "playhouse-4").await;
    assert_eq!((&left["state"], &left["replicas"]), (&"left".into(), &0.into()));

    signal("-KILL", cluster.nodes[3].pid).await;
    signal("-TERM", cluster.nodes[4].pid).await;
    until(async || (!is_running(cluster.nodes[4].pid)).then_some(())).await;
    // Whoever has left has nothing to hand over, and nobody to tell so: that was a warning once.
    let log = cluster.log();
    assert!(log.contains("draining") && !log.contains("does not know that this node drains"), "{log}");
    assert_eq!(add(&cluster, 0).await, 2, "no majority needed those that left");
    for name in ["playhouse-3", "playhouse-4"] {
        let forgotten = cluster.run(&["forget", name]).await;
        assert_eq!(forgotten.code, 0, "{forgotten:?}");
    }
    cluster.nodes.truncate(3);
    let status = cluster.until_well().await;
    assert!(status.out.contains("members  3 up\n"), "{status:?}");
    assert!(cluster.terminate().await.success());
    cluster.until_nothing_runs().await;
}

#[tokio::test]
async fn a_cluster_starts_again_and_becomes_larger() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::start(directory.path(), 3).await;
    assert_eq!(add(&cluster, 0).await, 1);
    let before = cluster.run(&["--output", "json", "status"]).await.json();
    assert!(cluster.terminate().await.success());
    cluster.until_nothing_runs().await;

    let mut cluster = DevCluster::start(directory.path(), 5).await;
    assert_eq!(add(&cluster, 4).await, 2);
    let scaled = cluster.run(&["--output", "json", "scale", "5"]).await;
    assert_eq!(scaled.json()["settled"], true, "{scaled:?}");
    let status = cluster.until_well().await;
    let id = before["cluster"]["cluster_id"].as_str().unwrap();
    assert!(status.out.contains(&format!("cluster  {id}")) && status.out.contains("5 up"), "{status:?}");
    assert!(cluster.terminate().await.success());
    cluster.until_nothing_runs().await;
}
