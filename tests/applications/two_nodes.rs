//! The tour of `examples/two_nodes.rs`.

use crate::{
    ONE_AT_A_TIME,
    nodes::{Nodes, free_ports, until},
};

/// The lines of the tour, of all nodes.
fn said(nodes: &Nodes) -> Vec<String> {
    let logs: Vec<_> = nodes.nodes.iter().map(|node| node.log()).collect();
    let lines = logs.iter().flat_map(|log| log.lines());
    lines.filter_map(|line| line.split_once(" tours: ")).map(|(_, text)| text.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_of_the_example_sees_what_it_says() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::prepare(crate::tourist, &free_ports(2), &[]);
    for node in &mut nodes.nodes {
        node.settings = vec!["bootstrap.members=node-0,node-1".to_owned()];
        node.start();
    }
    until("the tour is over", async || said(&nodes).iter().any(|line| line == "done")).await;
    let said = said(&nodes);
    let starts = |at: usize, text: &str| assert!(said[at].contains(text), "{said:?}");
    assert_eq!(said.len(), 8, "one node makes the tour: {said:?}");
    starts(0, "2 greeters in the group");
    starts(1, "a greeter of the group says: hello node-");
    starts(2, "and back, through it: hello friend of node-");
    assert_eq!(said[3], "guide is this node's greeter");
    assert_eq!(said[4], "twice: the name is taken");
    starts(5, "from a guest of node-");
    assert!(said[5].ends_with("its monitor says: out of breath"), "{said:?}");
    assert!(said[6].ends_with("its monitor says: shutdown"), "{said:?}");
}
