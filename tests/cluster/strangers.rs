//! Nodes that do not belong to the cluster knock at its door.

use std::path::PathBuf;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Node, Nodes, counted, free_ports, new_cookie, until, write_secret},
    process::playhouse,
};

/// More than may be in their handshake at once.
const SILENT: usize = 300;

/// Somebody who has the addresses, but something else wrong. He is told what, so are the members, and they go on.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_and_told_why() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let ports = free_ports(NODES + 1);
    let mut nodes = Nodes::prepare(playhouse, &ports, &[]);
    nodes.nodes.iter_mut().for_each(Node::start);
    nodes.until_whole().await;
    let stranger = |nodes: &Nodes, name: &str| nodes.another(name.to_owned(), ports[NODES]);
    let load = Load::start("strangers", CLIENTS, || nodes.any());

    let mut unknown = stranger(&nodes, "wrong-cookie");
    write_secret(&unknown.cookie_file(), &new_cookie());
    unknown.start();
    unknown.until_logged(&["cannot connect to a peer", "cookie"]).await;
    nodes.nodes[0].until_logged(&["an incoming connection failed", "cookie"]).await;
    counted(&nodes.nodes[0], "playhouse_link_authentication_failures_total").await;
    unknown.kill().await;

    let mut divided = stranger(&nodes, "other-shards");
    divided.settings.push("node.shards=32".to_owned());
    divided.start();
    divided.until_logged(&["cannot connect to a peer", "has 16 shards, not 32"]).await;
    nodes.nodes[0].until_logged(&["a peer is refused", "has 16 shards, not 32"]).await;
    counted(&nodes.nodes[0], r#"playhouse_link_refusals_total{by="us",reason="other_shards"}"#).await;
    divided.kill().await;

    let mut picky = stranger(&nodes, "other-wish");
    picky.settings.push(format!("cluster.id={:032x}", 7));
    picky.start();
    picky.until_logged(&["not a member of a cluster yet", "which is not cluster.id"]).await;
    picky.kill().await;

    let mut foreign = stranger(&nodes, "other-cluster");
    let alone = ["bootstrap.members=other-cluster", "bootstrap.initiator=other-cluster", "peer.seeds="];
    foreign.settings = alone.map(str::to_owned).to_vec();
    foreign.start_again().await;
    foreign.kill().await;
    foreign.settings.pop();
    foreign.start();
    foreign.until_logged(&["cannot connect to a peer", "belongs to cluster"]).await;
    nodes.nodes[0].until_logged(&["a peer is refused", "belongs to cluster"]).await;
    counted(&nodes.nodes[0], r#"playhouse_link_refusals_total{by="us",reason="other_cluster"}"#).await;
    foreign.kill().await;
    foreign.settings.push(format!("cluster.id={:032x}", 7));
    foreign.start();
    assert!(!foreign.ended().await.success(), "its volume belongs to another cluster than it is told");
    assert!(foreign.log().contains("belongs to"), "{}", foreign.log());

    load.until_answers(50).await;
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}

/// Whoever says nothing, or nonsense, is turned away and counted, however many they are; the members do not feel it.
#[tokio::test(flavor = "multi_thread")]
async fn who_knocks_and_says_nothing_or_nonsense_is_counted() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("silence", CLIENTS, || nodes.any());
    let knocked = &nodes.nodes[0];

    let mut talker = TcpStream::connect(knocked.ports.peer).await.unwrap();
    talker.write_all(b"GET / HTTP/1.1\r\nhost: playhouse\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(talker.read_to_end(&mut answer).await); // It may be an end or a reset, but it comes.
    counted(knocked, r#"playhouse_link_handshakes_failed_total{reason="garbage"}"#).await;

    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(knocked.ports.peer).await.unwrap());
    }
    counted(knocked, r#"playhouse_link_handshakes_failed_total{reason="half_open"}"#).await;
    counted(knocked, r#"playhouse_link_handshakes_failed_total{reason="timeout"}"#).await;
    drop(silent);
    load.until_answers(50).await;
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}

/// In the three steps of `docs/config.md`: the next cookie beside the first, then in its place, then alone.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_exchanged_while_the_cluster_works() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let ports = free_ports(NODES);
    let mut nodes = Nodes::prepare(playhouse, &ports, &[]);
    let (first, next) = (nodes.cookie.clone(), new_cookie());
    for node in &mut nodes.nodes {
        let beside = node.cookie_file().with_file_name("next");
        write_secret(&beside, &first);
        node.settings.push(format!("peer.cookie_file_next={}", beside.display()));
        node.start();
    }
    nodes.until_whole().await;
    let load = Load::start("cookies", CLIENTS, || nodes.any());
    load.until_answers(50).await;
    let beside = |node: &Node| node.cookie_file().with_file_name("next");
    exchange(&nodes, beside, &next).await;
    exchange(&nodes, Node::cookie_file, &next).await;
    // Both files of every node have the next cookie now. Links that are made anew prove it.
    for at in 0..nodes.nodes.len() {
        nodes.nodes[at].kill().await;
        nodes.nodes[at].start_again().await;
        nodes.until_whole().await;
    }
    let mut late = nodes.another("first-cookie".to_owned(), free_ports(1)[0]);
    assert_eq!(nodes.cookie, first);
    late.start();
    late.until_logged(&["cannot connect to a peer", "cookie"]).await;
    late.kill().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}

/// Writes the cookie to this file of every node; returns when all have read it.
async fn exchange(nodes: &Nodes, file: impl Fn(&Node) -> PathBuf, cookie: &str) {
    for node in &nodes.nodes {
        let before = times_read(node);
        write_secret(&file(node), cookie);
        until("the cookie is read again", async || times_read(node) > before).await;
    }
}

/// How often this node noticed another cookie in one of its files.
fn times_read(node: &Node) -> usize {
    node.log().matches("the cookie was read again and is another one").count()
}
