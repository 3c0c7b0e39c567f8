//! The nodes are restarted in order, as a rollout does it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{CLIENTS, ONE_AT_A_TIME, load::Load, nodes::Nodes, process::playhouse};

/// The default of `drain.budget`: whoever needs it all did not manage to leave in order.
const BUDGET: Duration = Duration::from_secs(25);

/// Each node hands its leaderships over before it leaves, and the next one waits until it is ready again. Nobody waits for
/// an election.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_not_felt() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::start(playhouse, &[]).await;
    let load = Load::start("rolling", CLIENTS, || nodes.any());
    load.until_answers(100).await;
    let (mut begins, mut longest) = (Vec::new(), Duration::ZERO);
    for node in &mut nodes.nodes {
        node.until_leading().await;
        begins.push(Instant::now());
        longest = longest.max(node.stop().await);
        assert!(!node.log().contains("nobody took over"), "{} left leaderships behind", node.name);
        let wrong = |line: &&str| line.contains(r#""level":"ERROR""#) || line.contains("the same node");
        assert_eq!(node.log().lines().find(wrong), None, "{} complains of an orderly stop", node.name);
        node.start_again().await;
        node.until_ready().await;
    }
    load.until_answers(100).await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.pauses(&begins).print("rolling restart");
    println!("rolling restart: the longest drain took {longest:.2?}");
    assert!(longest < BUDGET / 2, "{longest:?}");
    book.audit(&nodes, &[0, 1, 2]).await;
}
