//! The network between the nodes breaks, in one direction or in both.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    network::Network,
    nodes::{NODES, Nodes, until},
    privileges::not_tested,
    process::playhouse,
};

/// How a node is cut off from the two others.
#[derive(Clone, Copy, Debug)]
enum Break {
    Both,
    Deaf,
    Mute,
}

impl Break {
    fn cut(self, network: &Network, node: usize) {
        for other in (0..NODES).filter(|other| *other != node) {
            if !matches!(self, Self::Mute) {
                network.cut(other, node);
            }
            if !matches!(self, Self::Deaf) {
                network.cut(node, other);
            }
        }
    }
}

/// Clients reach all nodes all the time. The majority goes on, the node that is alone refuses and is not ready, and when the
/// network is whole again, it takes part as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_refuses_and_the_majority_goes_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let network = match Network::new(NODES) {
        Ok(network) => network,
        Err(reason) => return not_tested("a network", &reason),
    };
    let mut nodes = Nodes::prepare(playhouse, &network.ports(), &[]);
    for (at, node) in nodes.nodes.iter_mut().enumerate() {
        node.wrapper = network.wrapper(at);
        node.start();
    }
    nodes.until_whole().await;
    let load = Load::start("network", CLIENTS, || nodes.any());
    let mut moments = Vec::new();
    for (broken, how) in [Break::Both, Break::Deaf, Break::Mute].into_iter().enumerate() {
        let others: Vec<_> = (0..NODES).filter(|other| *other != broken).collect();
        nodes.nodes[broken].until_leading().await;
        load.until_answers(100).await;
        how.cut(&network, broken);
        moments.push(Instant::now());
        nodes.until_led_by(&others).await;
        let alone = &nodes.nodes[broken];
        until("the node that is cut off is not ready", async || !alone.is_ready().await).await;
        alone.until_led_none().await;
        load.until_answers(100).await;
        assert_eq!(alone.metrics().await.expect("it answers").shards_led(), 0, "{how:?}");
        let healed = Instant::now();
        network.heal();
        nodes.until_whole().await;
        println!("{how:?}: whole again {:.1?} after the network", healed.elapsed());
    }
    let book = load.stop().await;
    book.assert_no_failures();
    let pauses = book.pauses(&moments);
    pauses.print("a node cut off: both ways, deaf, mute");
    assert!(pauses.max() < Duration::from_secs(20));
    book.audit(&nodes, &[0, 1, 2]).await;
    drop((nodes, network));
}
