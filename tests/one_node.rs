//! One node with real rooms: calls, restart, order, and processes without any other node.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use playhouse::{
    kinds::{
        Counter,
        counter::{Command, Value},
    },
    node::{self, Node, Settings},
    process::{
        self, ChildSpec, ClusterNames, ExitReason, Mailbox, NameError, Portable, Process, Reply, Strategy,
        Supervisor, SupervisorRef,
    },
    protocol::Key,
};
use playhouse_cluster::environment::Environment;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};
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
    meters.read().await;
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

/// Says which greeting it was started with.
struct Greeter;

#[derive(Serialize, Deserialize)]
enum Greet {
    Hello(Reply<String>),
}

impl Message for Greet {}

impl Portable for Greet {
    const NAME: &'static str = "one-node-greet.1";
}

impl Actor for Greeter {
    type Msg = Greet;
    type State = String;
    type Arguments = String;

    async fn pre_start(&self, _: ActorRef<Greet>, words: String) -> Result<String, ActorProcessingErr> {
        Ok(words)
    }

    async fn handle(
        &self,
        _: ActorRef<Greet>,
        greet: Greet,
        words: &mut String,
    ) -> Result<(), ActorProcessingErr> {
        let Greet::Hello(reply) = greet;
        reply.send(words.clone());
        Ok(())
    }
}

const LONG: Duration = Duration::from_secs(30);

/// The process of this name once there is one, other than `former`.
async fn named(names: &ClusterNames, former: Option<&Process<Greet>>) -> Process<Greet> {
    let found = async {
        loop {
            match names.whereis::<Greet>("greeter").await {
                Ok(Some(process)) if Some(&process) != former => return process,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(LONG, found).await.expect("there is one in time")
}

/// The same program runs on one node and on many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_alone_has_groups_names_spawns_and_singletons() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let distribution = node.distribution().expect("it is part of every node").clone();
    let names = node.cluster_names().expect("they are part of every node");
    assert!(distribution.peers().borrow().is_empty());

    distribution.spawnable("greeter", Mailbox::default(), |words: String| (Greeter, words));
    let own = distribution.home().node;
    let words = "good day".to_owned();
    let spawned: Process<Greet> = distribution.spawn_on(own, "greeter", &words, LONG).await.unwrap();
    let anywhere: Process<Greet> = distribution.spawn_anywhere("greeter", &words, LONG).await.unwrap();
    assert_eq!((spawned.id().home(), anywhere.id().home()), (None, None), "there is no other node");
    assert_eq!(spawned.call(Greet::Hello, LONG).await, Ok(words));

    distribution.groups().join("greeters", &spawned).unwrap();
    assert_eq!(distribution.groups().members::<Greet>("greeters"), vec![spawned.clone()]);
    names.register("first", &spawned).await.unwrap();
    assert_eq!(names.register("first", &anywhere).await, Err(NameError::Taken(spawned.id())));
    spawned.stop(ExitReason::Shutdown);
    spawned.ended().await;
    names.register("first", &anywhere).await.expect("the name of a process that has ended is free");
    assert!(distribution.groups().members::<Greet>("greeters").is_empty());

    let kept = names.singleton("greeter", Mailbox::default(), || (Greeter, "only me".to_owned())).unwrap();
    let first = named(&names, None).await;
    assert_eq!(first.call(Greet::Hello, LONG).await, Ok("only me".to_owned()));
    first.kill();
    let second = named(&names, Some(&first)).await;
    kept.stop().await;
    assert!(!second.is_alive(), "nobody keeps it any more");

    // A name that a former start of the node left behind is free.
    node.stop(LONG).await;
    let node = start(folder.path()).await;
    let names = node.cluster_names().unwrap();
    let again = process::spawn(Greeter, "again".to_owned(), Mailbox::default()).await.unwrap();
    names.register("first", &again).await.unwrap();
    node.stop(LONG).await;
}

fn tree(words: &'static str) -> Supervisor {
    let greeter = ChildSpec::process("greeter", Mailbox::default(), move || (Greeter, words.to_owned()));
    Supervisor::new(Strategy::OneForOne).child(greeter)
}

/// A program of processes lives as long as its node, however that ends, and belongs to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_starts_with_its_node_and_does_not_outlive_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new("playhouse-0", folder.path());
    let environment = || Environment::real(Handle::current(), Handle::current());
    let started: Arc<Mutex<Vec<SupervisorRef>>> = Arc::default();
    let note = Arc::clone(&started);
    let program = move |node: node::Handle| {
        let note = Arc::clone(&note);
        async move {
            let top = tree("from an application").start().await?;
            let greeter: Process<Greet> = top.child("greeter").await?.reference().ok_or("it greets")?;
            node.cluster_names().ok_or("it is alone")?.register(node.name(), &greeter).await?;
            note.lock().unwrap().push(top.clone());
            Ok(top)
        }
    };
    let builder = Node::builder().application("greeting", program);

    let node = builder.clone().start(&settings, environment()).await.unwrap();
    let greeter = node.cluster_names().unwrap().whereis::<Greet>("playhouse-0").await.unwrap().unwrap();
    assert_eq!(greeter.call(Greet::Hello, LONG).await, Ok("from an application".to_owned()));
    let counts = node.distribution().unwrap().counts().await;
    assert_eq!((counts.processes, counts.supervisors), (1, 1));
    node.stop(LONG).await;
    assert_eq!(greeter.ended().await, ExitReason::Shutdown, "it was stopped in order");

    drop(builder.clone().start(&settings, environment()).await.unwrap());
    let dropped = started.lock().unwrap().pop().unwrap();
    tokio::time::timeout(LONG, dropped.wait()).await.expect("it ends with its node");

    // A node that was dropped gives its volume back in its own time.
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new("playhouse-0", folder.path());
    let broken = builder.application("broken", |_| async { Err("nobody is here".into()) });
    let error = broken.start(&settings, environment()).await.err().expect("it does not start");
    assert_eq!(error.to_string(), "the application broken did not start: nobody is here");
    let first = started.lock().unwrap().pop().unwrap();
    tokio::time::timeout(LONG, first.wait()).await.expect("those before it are stopped");
    start(folder.path()).await.stop(LONG).await;
}

/// Handlers may ask for the names of processes, which lead to the router, which leads to what handlers may ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_provided_goes_with_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new("playhouse-0", folder.path());
    let environment = Environment::real(Handle::current(), Handle::current());
    let provided = Arc::new("a pool of connections");
    let left = Arc::downgrade(&provided);
    let node = Node::builder().provide(provided).start(&settings, environment).await.unwrap();
    assert!(left.upgrade().is_some());
    node.stop(LONG).await;
    assert!(left.upgrade().is_none(), "nobody holds it any more");
}
