//! A majority of volumes is lost for good.

use std::{collections::BTreeMap, ffi::OsStr, fs, path::Path};

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
    assert!(look.out.contains("STATE AS OF") && look.out.contains(" ms "), "{look:?}");
    let refused = [
        (&["--all", "--lost=node-1"][..], "node-0, node-2", 3),
        (&["--all", "--lost=node-0", "--lost=node-9"], "no member is called node-9", 3),
        (&["--all", "--lost=node-2"], "node of this volume", 3),
        (&["--shard=3", "--lost=node-0", "--lost=node-1"], "everything with --all", 3),
        (
            &["--shard=3", "--lost=node-0", "--lost=node-1", "--i-accept-data-loss=3"],
            "everything with --all",
            3,
        ),
        (&["--shard=16", "--lost=node-0", "--lost=node-1"], "there is no shard 16", 3),
        (&["--shard=3", "--lost=node-0"], "has a majority", 3),
        (&["--all", "--lost=node-0", "--lost=node-1", "--i-accept-data-loss=3"], "does not name", 2),
    ];
    for (arguments, words, code) in refused {
        let arguments = [&["recover-shard"], arguments].concat();
        run(survivor.offline(&arguments)).await.assert_refused(code, &[words, "nothing was changed"]);
    }
    assert_eq!(fs::read(&identity).unwrap(), known);
    assert!(!survivor.data().join("recoveries").exists());

    let look = [&["--output", "json"], &consent[..4]].concat();
    let look = run(survivor.offline(&look)).await;
    let told: Value = serde_json::from_str(&look.out).unwrap();
    assert_eq!(told["recovery"]["cluster_id"], before);
    assert_eq!(told["recovery"]["new_cluster_id"], Value::Null, "there will be another one: {look:?}");

    fails_after_the_first_change(survivor, &consent).await;
    let done = run(survivor.offline(&consent)).await;
    done.assert_done();
    assert!(done.out.contains("recorded on the volume"), "{done:?}");
    is_finished_by_the_same_command(survivor, &consent).await;
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

/// "nothing was changed" was said, or nothing, when something was.
async fn fails_after_the_first_change(node: &Node, consent: &[&str]) {
    let in_the_way = node.data().join("identity.new");
    fs::create_dir(&in_the_way).unwrap();
    let failed = run(node.offline(consent)).await;
    failed
        .assert_refused(1, &["was begun", "the identity", "Do not start the node", "the same command again"]);
    assert!(!failed.err.contains("nothing was changed"), "{failed:?}");
    let record = fs::read_to_string(node.data().join("recoveries")).unwrap();
    assert!(record.lines().count() == 1 && record.contains(r#""is_done":false"#), "{record}");
    fs::remove_dir(in_the_way).unwrap();
}

/// The machine stopped when all but the last line was written. The command said that nobody is lost, and changed nothing.
async fn is_finished_by_the_same_command(node: &Node, consent: &[impl AsRef<OsStr>]) {
    let (record, identity) = (node.data().join("recoveries"), node.data().join("identity"));
    let (recorded, known) = (fs::read_to_string(&record).unwrap(), fs::read(&identity).unwrap());
    let (begun, last) = recorded.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains(r#""is_done":true"#), "{recorded}");
    let begun = format!("{begun}\n");
    fs::write(&record, &begun).unwrap();
    let look = run(node.offline(&consent[..consent.len() - 1])).await;
    look.assert_refused(3, &["nothing was changed"]);
    assert_eq!(fs::read_to_string(&record).unwrap(), begun, "nobody agreed");
    let finished = run(node.offline(consent)).await;
    finished.assert_done();
    assert!(finished.out.contains("recorded on the volume"), "{finished:?}");
    assert_eq!(fs::read_to_string(&record).unwrap(), recorded);
    assert_eq!(fs::read(&identity).unwrap(), known);
}

/// How many nodes the cluster has of which each has some shards.
const SPREAD: usize = 5;

/// Five nodes, of which each has some shards. Two are lost, and with them the majority of some shards, not of the system group.
#[tokio::test(flavor = "multi_thread")]
async fn shards_go_on_alone_while_the_cluster_lives() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = spread().await;
    let load = Load::start("spread", CLIENTS, || nodes.any());
    load.until_answers(300).await;
    let mut book = load.stop().await;
    book.settle(&nodes.any()).await;
    until_all_have_all(&nodes).await;

    let before = nodes.nodes[0].members().await;
    let (lost, orphans) = two_that_are_lost(&nodes, &before).await;
    let names = lost.map(|at| format!("--lost=node-{at}"));
    let old = nodes.nodes[lost[0]].data().with_extension("old");
    for at in lost {
        nodes.nodes[at].kill().await;
    }
    fs::rename(nodes.nodes[lost[0]].data(), &old).unwrap();
    fs::remove_dir_all(nodes.nodes[lost[1]].data()).unwrap();
    let (voter, shards) = orphans.first_key_value().unwrap();
    let node = &mut nodes.nodes[*voter];
    node.kill().await;
    let early = node.offline(&consent(shards[0], &names));
    run(early).await.assert_refused(3, &["would still accept these volumes", "nothing was changed"]);
    assert!(!node.data().join("recoveries").exists());
    node.start();

    for at in lost {
        nodes.nodes[at].start();
    }
    until_replaced(&nodes, &lost, &before).await;
    for (voter, shards) in &orphans {
        let node = &mut nodes.nodes[*voter];
        node.kill().await;
        let one = node.offline(&["recover-shard", &format!("--shard={}", shards[0]), &names[0]]);
        run(one).await.assert_refused(3, &["has a majority", "nothing was changed"]);
        for shard in shards {
            recover(node, *shard, &names).await;
        }
        let record = fs::read_to_string(node.data().join("recoveries")).unwrap();
        assert_eq!(record.lines().count(), 2 * shards.len(), "{record}");
        node.start();
        until_led(&nodes, shards).await;
    }
    until_settled(&nodes).await;
    join_all(nodes.nodes.iter().map(Node::until_ready)).await;
    book.audit(&nodes, &[0, 1, 2, 3, 4]).await;
    let status = ask(&nodes, &["status"]).await;
    for (voter, shards) in &orphans {
        let of_node = format!("recovered node-{voter}: ");
        let told: Vec<_> = status.out.lines().filter_map(|line| line.strip_prefix(&of_node)).collect();
        let expected = shards.iter().map(|shard| format!("shard {shard} behind entry "));
        let is_told = |(line, start): (&&str, String)| line.starts_with(&start) && line.contains("went on");
        assert!(told.len() == shards.len() && told.iter().zip(expected).all(is_told), "{shards:?}: {told:?}");
    }
    returns_in_vain(&mut nodes, lost[0], &old).await;
    let rest: Vec<_> = (0..SPREAD).filter(|at| *at != lost[0]).collect();
    nodes.until_led_by(&rest).await;
    book.audit(&nodes, &rest).await;
}

/// A node with a volume that was given up is refused. One that never voted in the system group was told nothing, and waited for
/// ever: nobody there sends to it.
async fn returns_in_vain(nodes: &mut Nodes, at: usize, old: &Path) {
    let node = &mut nodes.nodes[at];
    node.kill().await;
    fs::remove_dir_all(node.data()).unwrap();
    fs::rename(old, node.data()).unwrap();
    node.start();
    until("the old volume is refused", async || !node.is_running()).await;
    assert!(node.log().contains("was replaced or has left and never comes back"), "{}", node.log());
}

/// A cluster of five.
async fn spread() -> Nodes {
    let ports = free_ports(SPREAD);
    let mut nodes = Nodes::prepare(playhouse, &ports, &[]);
    for (at, ports) in ports.iter().enumerate().skip(nodes.nodes.len()) {
        let more = nodes.another(format!("node-{at}"), *ports);
        nodes.nodes.push(more);
    }
    nodes.nodes.iter_mut().for_each(Node::start);
    until_settled(&nodes).await;
    nodes
}

fn consent(shard: usize, lost: &[String; 2]) -> [String; 5] {
    let [first, second] = lost.clone();
    let (which, consent) = (format!("--shard={shard}"), format!("--i-accept-data-loss={shard}"));
    ["recover-shard".to_owned(), which, first, second, consent]
}

/// One shard goes on with the replica of this node.
async fn recover(node: &Node, shard: usize, lost: &[String; 2]) {
    let all = consent(shard, lost);
    let look = run(node.offline(&all[..4])).await;
    look.assert_refused(3, &["nothing was changed", "--i-accept-data-loss"]);
    assert!(look.out.contains(&format!("shard {shard} ")), "{look:?}");
    run(node.offline(&all)).await.assert_done();
    is_finished_by_the_same_command(node, &all).await;
    run(node.offline(&all)).await.assert_refused(3, &["has a majority", "nothing was changed"]);
}

/// Each node that is left knows that the names of those that are lost have other volumes than `before`, which are up.
async fn until_replaced(nodes: &Nodes, lost: &[usize; 2], before: &[Member]) {
    let is_lost = |name: &String| lost.iter().any(|at| nodes.nodes[*at].name == *name);
    let is_new = |member: &Member| before.iter().all(|old| old.raft_id != member.raft_id);
    let is_there = |member: &&Member| is_lost(&member.name) && is_new(member) && member.state == "up";
    let left = || nodes.nodes.iter().filter(|node| !is_lost(&node.name));
    until("all know the new volumes", async || {
        let views = join_all(left().map(Node::members)).await;
        views.iter().all(|members| members.iter().filter(is_there).count() == lost.len())
    })
    .await;
}

/// These shards have leaders.
async fn until_led(nodes: &Nodes, shards: &[usize]) {
    until("they are led again", async || {
        let all = json(nodes, "shards").await;
        shards.iter().all(|shard| all["shards"][*shard]["leader"].is_string())
    })
    .await;
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

/// How often in a row nothing must move: the next moves are planned only after the last ones are done.
const QUIET_LOOKS: u32 = 12;

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

/// The voters of each shard, as numbers of nodes.
async fn voters(nodes: &Nodes) -> Vec<Vec<usize>> {
    let shards = json(nodes, "shards").await;
    let number = |replica: &Value| replica["node"].as_str().unwrap()["node-".len()..].parse().unwrap();
    let votes = |replica: &&Value| replica["votes"] == true;
    let voters =
        |shard: &Value| shard["replicas"].as_array().unwrap().iter().filter(votes).map(number).collect();
    shards["shards"].as_array().unwrap().iter().map(voters).collect()
}

/// Shards that lose their majority, by the voter that is left.
type Orphans = BTreeMap<usize, Vec<usize>>;

/// Two nodes, of which the first has no vote in the system group, and which are the majority of as many shards as possible.
async fn two_that_are_lost(nodes: &Nodes, members: &[Member]) -> ([usize; 2], Orphans) {
    let is_system_voter = |at: &usize| {
        let name = format!("node-{at}");
        members.iter().any(|member| member.name == name && member.is_system_voter)
    };
    let voters = voters(nodes).await;
    let pairs = (0..SPREAD).flat_map(|a| (a + 1..SPREAD).map(move |b| [a, b]));
    let pairs = pairs.filter(|pair| !pair.iter().all(is_system_voter));
    let pairs = pairs.map(|[a, b]| if is_system_voter(&a) { [b, a] } else { [a, b] });
    let all = pairs.map(|pair| (pair, orphans(&voters, &pair)));
    let most = all.max_by_key(|(_, orphans)| (orphans.len(), orphans.values().map(Vec::len).sum::<usize>()));
    most.filter(|(_, orphans)| !orphans.is_empty()).expect("16 shards are spread over 10 pairs")
}

fn orphans(voters: &[Vec<usize>], lost: &[usize; 2]) -> Orphans {
    let mut orphans = Orphans::new();
    for (shard, voters) in voters.iter().enumerate() {
        let left: Vec<_> = voters.iter().filter(|at| !lost.contains(at)).collect();
        if let [only] = left[..] {
            orphans.entry(*only).or_default().push(shard);
        }
    }
    orphans
}
