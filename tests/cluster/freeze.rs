//! A node stops for a while as if its machine did, and goes on without knowing it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{CLIENTS, ONE_AT_A_TIME, load::Load, nodes::Nodes, process::playhouse};

/// Long enough that everybody counts it as down.
const FROZEN: Duration = Duration::from_secs(8);
/// How many requests wait in the sockets of the frozen node, for it to answer first when it wakes up.
const READERS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_frozen_gives_no_stale_answer_when_it_wakes_up() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let mut load = Load::start("freeze", CLIENTS, || nodes.any());
    nodes.nodes[0].until_leading().await;
    load.until_answers(100).await;
    nodes.nodes[0].freeze().await;
    let frozen = Instant::now();
    load.add_readers(READERS, || nodes.client(&[0]));
    nodes.until_led_by(&[1, 2]).await;
    load.until_answers(100).await;
    tokio::time::sleep_until(frozen + FROZEN).await; // The freeze itself.
    nodes.nodes[0].thaw().await;
    nodes.nodes[0].until_leading().await;
    load.until_answers(100).await;
    nodes.until_whole().await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.pauses(&[frozen]).print("SIGSTOP of a leader for 8 s, readers of it included");
    book.audit(&nodes, &[0, 1, 2]).await;
}
