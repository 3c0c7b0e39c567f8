//! One node with real rooms: calls, restart, order.

use std::sync::Arc;

use playhouse::{
    kinds::{
        Counter,
        counter::{Command, Value},
    },
    node::{Node, Settings},
    protocol::Key,
};
use playhouse_cluster::environment::Environment;
use tokio::runtime::Handle;

async fn start(folder: &std::path::Path) -> Node {
    let environment = Environment::real(Handle::current(), Handle::current());
    let settings = Settings::new("playhouse-0", folder);
    Node::builder().start(&settings, environment).await.expect("the volume is new or ours")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let counter = node.entity::<Counter>(Key::new("visits").unwrap());
    for expected in 1..=100 {
        assert_eq!(counter.call(&Command::Add(1)).await, Ok(Value { value: expected }));
    }
    node.stop(std::time::Duration::from_secs(5)).await;
    let node = start(folder.path()).await;
    let counter = node.entity::<Counter>(Key::new("visits").unwrap());
    assert_eq!(counter.call(&Command::Get {}).await, Ok(Value { value: 100 }));
    node.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_count_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(start(folder.path()).await);
    let callers = (0..64).map(|caller| {
        let counter = node.entity::<Counter>(Key::new(format!("c{}", caller % 8)).unwrap());
        async move {
            for _ in 0..50 {
                counter.call(&Command::Add(1)).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(callers).await;
    for number in 0..8 {
        let counter = node.entity::<Counter>(Key::new(format!("c{number}")).unwrap());
        assert_eq!(counter.call(&Command::Get {}).await, Ok(Value { value: 400 }));
    }
    let node = Arc::into_inner(node).unwrap();
    node.stop(std::time::Duration::from_secs(5)).await;
}

/// What others keep of a node that stopped, such as the port for operators, must not keep its files open: the stop waited
/// five seconds for them once, and the next start of the process was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_gives_its_volume_back_whoever_still_holds_a_handle() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let (operator, standing, meters) = (node.operator(), node.standing(), node.meters());
    node.stop(std::time::Duration::from_secs(5)).await;
    let again = start(folder.path()).await;
    meters.read();
    assert!(operator.overview().await.is_err(), "it is not a member any more");
    drop(standing);
    again.stop(std::time::Duration::from_secs(5)).await;
}

/// Each task of a node ends with it, on whichever threads it runs: one that looks again and again for a word that nobody can say
/// any more would keep its thread for ever.
#[test]
#[allow(clippy::disallowed_methods)] // The thread that waits must be none of the node's.
fn nothing_runs_on_when_a_node_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (core, executors) = (runtime(), runtime());
    let environment = Environment::real(core.handle().clone(), executors.handle().clone());
    let settings = Settings::new("playhouse-0", folder.path());
    let node = core.block_on(Node::builder().start(&settings, environment)).unwrap();
    drop(node);
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop((core, executors));
        tell.send(())
    });
    ended.recv_timeout(std::time::Duration::from_secs(30)).expect("the threads of the node end");
}
