//! SIGTERM: finish what is under way, say so meanwhile, leave with 0. A second one: leave now.

use std::{cell::Cell, ffi::OsString};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command};

use super::{
    call,
    process::{NodeProcess, answer, playhouse},
    value,
};

/// A request whose body has not arrived yet: a drain waits for it.
struct Unfinished {
    stream: TcpStream,
}

impl Unfinished {
    async fn start(node: &NodeProcess) -> Self {
        let mut stream = TcpStream::connect(node.gateway()).await.unwrap();
        let head = "POST /v1/entities/counter/slow/call HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\n";
        let head = format!("{head}connection: close\r\ncontent-length: 10\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The gateway asks for the body: so it knows of the request before it is told to leave.
        let mut asked = [0; 25];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut asked).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream }
    }

    async fn finish(mut self) -> Option<(u16, String)> {
        self.stream.write_all(br#"{"add": 1}"#).await.ok()?;
        answer(&mut self.stream).await
    }
}

#[tokio::test]
async fn a_node_that_is_told_to_leave_finishes_first() {
    let directory = tempfile::tempdir().unwrap();
    // Longer than the test is patient: it must not leave because the budget is over.
    let mut node = NodeProcess::start(playhouse, directory.path(), &["drain.budget=10m"]).await;
    let unfinished = Unfinished::start(&node).await;
    let (acknowledged, doubtful) = (Cell::new(0), Cell::new(0));
    let caller = async || {
        loop {
            match call(&node, "counter/c", "", &json!({"add": 1})).await {
                Some((200, _)) => acknowledged.set(acknowledged.get() + 1),
                Some((503, problem)) if problem["code"] == "draining" => return,
                Some(other) => panic!("{other:?}"),
                // Not connected, or closed without an answer.
                None => {
                    doubtful.set(doubtful.get() + 1);
                    return;
                }
            }
        }
    };
    let leave = async {
        while acknowledged.get() < 100 {
            tokio::task::yield_now().await;
        }
        node.terminate().await;
        let reason = node.readiness(503).await;
        assert!(reason.contains("draining"), "{reason}");
    };
    tokio::join!(leave, join_all((0..16).map(|_| caller())));
    assert_eq!(unfinished.finish().await, Some((200, r#"{"value":1}"#.to_owned())), "it was under way");
    assert_eq!(node.ended().await.code(), Some(0));

    node.start_again().await;
    let found = value(&node, "c").await;
    let acknowledged = acknowledged.get();
    assert!(
        (acknowledged..=acknowledged + doubtful.get()).contains(&found),
        "{found}, {acknowledged} acknowledged"
    );
    assert_eq!(value(&node, "slow").await, 1);
    node.kill().await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(playhouse, directory.path(), &["drain.budget=10m"]).await;
    let unfinished = Unfinished::start(&node).await;
    assert_eq!(call(&node, "counter/c", "", &json!({"add": 1})).await.unwrap().0, 200);
    node.terminate().await;
    node.readiness(503).await;
    assert!(node.is_running(), "it waits for the request");
    node.terminate().await;
    assert_eq!(node.ended().await.code(), Some(1));
    assert_eq!(unfinished.finish().await, None);
    node.start_again().await;
    assert_eq!(value(&node, "c").await, 1);
    node.kill().await;
}

/// The node that leaves when its standard input ends.
fn held(arguments: &[OsString]) -> Command {
    let mut command = playhouse(arguments);
    command.arg("--leave-with-parent");
    command
}

/// Whoever starts a node, and wants it to leave, closes its input and may send a signal as well; both can come in any order.
#[tokio::test]
async fn the_end_of_the_input_and_one_signal_are_one_request() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(held, directory.path(), &["drain.budget=10m"]).await;
    let unfinished = Unfinished::start(&node).await;
    node.end_input();
    node.terminate().await;
    node.readiness(503).await;
    assert_eq!(unfinished.finish().await, Some((200, r#"{"value":1}"#.to_owned())));
    assert_eq!(node.ended().await.code(), Some(0));
}

/// Who never finishes a request does not keep the node.
#[tokio::test]
async fn the_budget_ends_the_drain() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(playhouse, directory.path(), &["drain.budget=1s"]).await;
    let _unfinished = Unfinished::start(&node).await;
    node.terminate().await;
    assert_eq!(node.ended().await.code(), Some(0));
}
