//! A majority of volumes is lost for good.

use std::{collections::BTreeMap, fs};

use futures_util::future::join_all;
use serde_json::Value;

use crate::{
    CLIENTS, ONE_AT_A_TIME, ask, copy_folder,
    load::Load,
    nodes::{Member, Node, Nodes, PATIENCE, SHARDS, free_ports, until},
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
    let refused = [
        (&["--all", "--lost=node-1"][..], "node-0, node-2", 3),
        (&["--all", "--lost=node-0", "--lost=node-9"], "no member is called node-9", 3),
        (&["--all", "--lost=node-2"], "node of this volume", 3),
        (&["--shard=3", "--lost=node-0", "--lost=node-1"], "--all", 3),
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

/// Five nodes, of which each has some shards. Two are lost, and with them the majority of some shards, not of the system group.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_goes_on_alone_while_the_cluster_lives() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let ports = free_ports(5);
    let mut nodes = Nodes::prepare(playhouse, &ports, &[]);
    for (at, ports) in ports.iter().enumerate().skip(3) {
        let more = nodes.another(format!("node-{at}"), *ports);
        nodes.nodes.push(more);
    }
    nodes.nodes.iter_mut().for_each(Node::start);
    until_settled(&nodes).await;
    let load = Load::start("spread", CLIENTS, || nodes.any());
    load.until_answers(300).await;
    let mut book = load.stop().await;
    book.settle(&nodes.any()).await;
    until_all_have_all(&nodes).await;

    let lost = two_that_are_lost(&nodes).await;
    let orphans = orphans(&nodes, &lost).await;
    assert!(!orphans.is_empty(), "some shard had two of its voters on {lost:?}");
    let names = lost.map(|at| format!("--lost=node-{at}"));
    for at in lost {
        nodes.nodes[at].kill().await;
        fs::remove_dir_all(nodes.nodes[at].data()).unwrap();
    }
    let (voter, shards) = orphans.first_key_value().unwrap();
    let node = &mut nodes.nodes[*voter];
    node.kill().await;
    let early =
        [&["recover-shard", &format!("--shard={}", shards[0])][..], &names.each_ref().map(String::as_str)]
            .concat();
    run(node.offline(&early))
        .await
        .assert_refused(3, &["would still accept the old volumes", "nothing was changed"]);
    node.start_again().await;

    for at in lost {
        nodes.nodes[at].start();
    }
    until_all_are_up(&nodes).await;
    for (voter, shards) in &orphans {
        let node = &mut nodes.nodes[*voter];
        node.kill().await;
        let one = [&["recover-shard", &format!("--shard={}", shards[0])][..], &[&names[0]]].concat();
        run(node.offline(&one)).await.assert_refused(3, &["nothing was changed"]);
        for shard in shards {
            recover(node, *shard, &names).await;
        }
        assert_eq!(
            fs::read_to_string(node.data().join("recoveries")).unwrap().lines().count(),
            2 * shards.len()
        );
        node.start_again().await;
        until_all_are_up(&nodes).await;
    }
    until_settled(&nodes).await;
    book.audit(&nodes, &[0, 1, 2, 3, 4]).await;
}

/// Every name is up, as far as the node knows that goes on: a lost volume is former for it then.
async fn until_all_are_up(nodes: &Nodes) {
    until("all nodes know all members as up", async || {
        let views = join_all(nodes.nodes.iter().map(Node::members)).await;
        let is_up = |member: &Member| member.state == "up";
        views.iter().all(|members| members.len() == nodes.nodes.len() && members.iter().all(is_up))
    })
    .await;
}

/// How often in a row nothing must move: the next moves are planned only after the last ones are done.
const QUIET_LOOKS: u32 = 12;

/// One shard goes on with the replica of this node.
async fn recover(node: &Node, shard: usize, lost: &[String; 2]) {
    let (which, consent) = (format!("--shard={shard}"), format!("--i-accept-data-loss={shard}"));
    let look = ["recover-shard", &which, &lost[0], &lost[1]];
    run(node.offline(&look)).await.assert_refused(3, &["nothing was changed", "--i-accept-data-loss"]);
    let recover = [&look[..], &[&consent]].concat();
    run(node.offline(&recover)).await.assert_done();
    run(node.offline(&recover)).await.assert_refused(3, &["has a majority", "nothing was changed"]);
}

async fn json(nodes: &Nodes, view: &str) -> Value {
    let printed = ask(nodes, &["--output", "json", view]).await;
    serde_json::from_str(&printed.out).unwrap_or_default()
}

async fn cluster_id(nodes: &Nodes) -> String {
    json(nodes, "status").await["cluster"]["cluster_id"].as_str().unwrap().to_owned()
}

/// Everybody is up, every shard has a leader and three replicas, and nothing moves or is to move.
async fn until_settled(nodes: &Nodes) {
    let (mut quiet, mut status) = (0, Value::Null);
    let settle = async {
        while quiet < QUIET_LOOKS {
            status = json(nodes, "status").await["cluster"].take();
            let is_led = status["shards"]["without_leader"].as_array().is_some_and(Vec::is_empty);
            let is_settled = status["is_settled"] == true && status["moves"]["under_way"] == 0;
            let is_quiet = status["members"]["up"] == nodes.nodes.len() && is_settled && is_led;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settle).await;
    assert!(settled.is_ok(), "not settled: {status:#}\n{:#}", json(nodes, "shards").await);
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

/// The voters of each shard, as numbers of nodes.
async fn voters(nodes: &Nodes) -> Vec<Vec<usize>> {
    let shards = json(nodes, "shards").await;
    let number = |replica: &Value| replica["node"].as_str().unwrap()["node-".len()..].parse().unwrap();
    let votes = |replica: &&Value| replica["votes"] == true;
    let voters =
        |shard: &Value| shard["replicas"].as_array().unwrap().iter().filter(votes).map(number).collect();
    shards["shards"].as_array().unwrap().iter().map(voters).collect()
}

/// Two nodes that are the majority of some shard, of which at most one votes in the system group.
async fn two_that_are_lost(nodes: &Nodes) -> [usize; 2] {
    let members: Vec<Member> = nodes.nodes[0].members().await;
    let votes = |at: usize| {
        let name = format!("node-{at}");
        members.iter().any(|member| member.name == name && member.is_system_voter)
    };
    let voters = voters(nodes).await;
    let pairs = (0..5).flat_map(|a| (a + 1..5).map(move |b| [a, b]));
    let is_good = |pair: &[usize; 2]| {
        let has_both = |shard: &Vec<usize>| pair.iter().all(|at| shard.contains(at));
        !pair.iter().all(|at| votes(*at)) && voters.iter().any(has_both)
    };
    pairs.into_iter().find(is_good).expect("16 shards are spread over 10 pairs")
}

/// Shards that lose their majority, by the voter that is left.
async fn orphans(nodes: &Nodes, lost: &[usize; 2]) -> BTreeMap<usize, Vec<usize>> {
    let mut orphans = BTreeMap::<_, Vec<_>>::new();
    for (shard, voters) in voters(nodes).await.into_iter().enumerate() {
        let left: Vec<_> = voters.into_iter().filter(|at| !lost.contains(at)).collect();
        if let [only] = left[..] {
            orphans.entry(only).or_default().push(shard);
        }
    }
    orphans
}
