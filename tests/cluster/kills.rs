//! Nodes are killed without warning.

use tokio::time::Instant;

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    bank::{self, Rush},
    load::Load,
    nodes::{NODES, Nodes},
};

const KILLS: usize = 6;

/// Each kill hits a node that leads shards. The others take over, it comes back with its volume, and nobody but the
/// clients' clocks can tell.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_killed_again_and_again_and_nothing_is_lost_or_doubled() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(bank::program, &[]).await;
    let load = Load::start("kills", CLIENTS, || nodes.any());
    let money = Rush::start(nodes.any()).await;
    let mut kills = Vec::new();
    for kill in 0..KILLS {
        let (victim, others) = (kill % NODES, [(kill + 1) % NODES, (kill + 2) % NODES]);
        nodes.nodes[victim].until_leading().await;
        load.until_answers(50).await;
        nodes.nodes[victim].kill().await;
        kills.push(Instant::now());
        nodes.until_led_by(&others).await;
        nodes.nodes[victim].start_again().await;
    }
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.pauses(&kills).print("kill -9 of a leader");
    book.audit(&nodes, &[0, 1, 2]).await;
    money.finish().await;
}
