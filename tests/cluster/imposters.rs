//! Who knows the cookie, or has heard what somebody said who knows it, and is not who he says.

use std::{collections::BTreeMap, sync::Arc};

use playhouse_cluster::{
    consensus::RaftId,
    environment::Environment,
    identity::Incarnation,
    peering::{self, CookieFiles, CookieFilesConfig, Local, Peering, Session, ShardFrames, StaticList},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Node, Nodes, PATIENCE, SHARDS, counted, free_ports},
    process::playhouse,
};

/// How long the first message of a handshake is, and the second one.
const MESSAGE_BYTES: usize = 50;

struct Ignored;

impl ShardFrames for Ignored {
    fn opened(&self, _: &Arc<Session>) {}
    fn frames(&self, _: &Arc<Session>, _: &mut dyn Iterator<Item = &[u8]>) {}
    fn closed(&self, _: &Arc<Session>) {}
}

/// An earlier start of `node`, which dials `other`: a process that was thought dead, or a copy of its volume.
async fn earlier_start(node: &Node, raft_id: RaftId, other: &Node) -> Peering {
    let environment = Environment::simulated(1);
    let cookies = CookieFiles::open(CookieFilesConfig::new(node.cookie_file(), None), &environment).unwrap();
    let local = Local {
        name: node.name.clone(),
        raft_id,
        incarnation: Incarnation(1),
        release: "0.0.0".to_owned(),
        zone: String::new(),
        track: String::new(),
        shards: u32::try_from(SHARDS).unwrap(),
    };
    let config = peering::Config { listen: "127.0.0.1:0".to_owned(), ..peering::Config::default() };
    let seeds = Arc::new(StaticList::new([other.ports.peer.to_string()]));
    let (cookies, services) = (Arc::new(cookies), BTreeMap::new());
    Peering::start(config, local, None, cookies, seeds, services, Arc::new(Ignored), environment)
        .await
        .unwrap()
}

/// What some node says first to whom it finds at `tap`.
async fn first_message(tap: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = timeout(PATIENCE, tap.accept()).await.expect("it is one of their seeds").unwrap();
    let mut message = vec![0; MESSAGE_BYTES];
    stream.read_exact(&mut message).await.unwrap();
    message
}

/// Each is refused, counted under its own reason, and named in the log; nobody else feels it.
#[tokio::test(flavor = "multi_thread")]
async fn imposters_are_refused_and_an_operator_can_see_why() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let ports = free_ports(NODES + 1);
    let tap = TcpListener::bind(ports[NODES].peer).await.unwrap();
    let mut nodes = Nodes::prepare(playhouse, &ports, &[]);
    nodes.nodes.iter_mut().for_each(Node::start);
    let message = first_message(&tap).await;
    drop(tap);
    nodes.until_whole().await;
    let load = Load::start("imposters", CLIENTS, || nodes.any());
    let (knocked, other) = (&nodes.nodes[0], &nodes.nodes[1]);

    let mut replay = TcpStream::connect(knocked.ports.peer).await.unwrap();
    replay.write_all(&message).await.unwrap();
    let mut answer = [0; MESSAGE_BYTES];
    timeout(PATIENCE, replay.read_exact(&mut answer)).await.expect("it is a right one").unwrap();
    replay.shutdown().await.unwrap();
    counted(knocked, r#"playhouse_link_handshakes_failed_total{reason="unproven"}"#).await;

    let members = knocked.members().await;
    let member = members.iter().find(|member| member.name == other.name).expect("it is a member");
    let raft_id = RaftId(u64::from_str_radix(&member.raft_id, 16).unwrap());
    let imposter = earlier_start(other, raft_id, knocked).await;
    counted(knocked, r#"playhouse_link_refusals_total{by="us",reason="old_incarnation"}"#).await;
    knocked.until_logged(&["a peer is refused", "a newer incarnation of that node is known"]).await;
    assert!(imposter.peers().borrow().is_empty(), "it was let in");
    imposter.stop().await;

    load.until_answers(50).await;
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.audit(&nodes, &[0, 1, 2]).await;
}
