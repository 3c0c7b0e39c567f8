//! `playhouse processes` against a cluster of real processes with a program of processes on each node.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.
#![allow(clippy::print_stdout)] // A failed test shows the logs of its nodes.

#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/process.rs"]
mod process;

use std::{ffi::OsString, future::pending, process::ExitCode, time::Duration};

use nodes::{Nodes, until};
use playhouse::{
    kinds::{Counter, counter},
    node::{ApplicationError, Handle, Node},
    process::{
        ChildSpec, Mailbox, Policy, Portable, Process, Shutdown, SimpleOneForOne, SimpleOneForOneRef,
        Strategy, Supervisor, SupervisorRef,
    },
    protocol::Key,
    router::EntityRef,
};
use process::forget_environment;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;

/// Arguments of the node, separated by newlines. Tells the test below that it is one.
const ROLE: &str = "PROCESSES_CLI_NODE";
/// Workers of each node.
const WORKERS: usize = 25;
/// Messages that wait for the one that never handles any.
const WAITING: usize = 3;

#[derive(Serialize, Deserialize)]
struct Tick;

impl Message for Tick {}

impl Portable for Tick {
    const NAME: &'static str = "processes-cli.1";
}

/// Handles its first message for ever.
struct Sloth(Handle);

impl Actor for Sloth {
    type Msg = Tick;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Tick>, (): ()) -> Result<(), ActorProcessingErr> {
        let sloth = Process::of(&myself).unwrap();
        self.0.distribution().unwrap().names().register("sloth", &sloth)?;
        self.0.distribution().unwrap().groups().join("sloths", &sloth)?;
        self.0.cluster_names().unwrap().register(&format!("sloth of {}", self.0.name()), &sloth).await?;
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Tick>, _: Tick, (): &mut ()) -> Result<(), ActorProcessingErr> {
        pending().await
    }
}

/// Crashes when somebody adds to the counter `bad news for NODE`.
struct Victim(Handle);

impl Victim {
    const LOOK_EVERY: Duration = Duration::from_millis(50);

    fn news(&self) -> EntityRef<Counter> {
        self.0.entity(Key::new(format!("bad-news-for-{}", self.0.name())).unwrap())
    }
}

impl Actor for Victim {
    type Msg = Tick;
    type State = i64;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Tick>, (): ()) -> Result<i64, ActorProcessingErr> {
        Process::of(&myself).unwrap().send_after(Self::LOOK_EVERY, Tick)?;
        Ok(self.news().call(&counter::Command::Get {}).await?.value)
    }

    async fn handle(
        &self,
        myself: ActorRef<Tick>,
        _: Tick,
        heard: &mut i64,
    ) -> Result<(), ActorProcessingErr> {
        // An election may be under way.
        if let Ok(news) = self.news().call(&counter::Command::Get {}).await {
            assert_eq!(news.value, *heard, "bad news");
        }
        Process::of(&myself).unwrap().send_after(Self::LOOK_EVERY, Tick)?;
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Tick>, _: &mut i64) -> Result<(), ActorProcessingErr> {
        eprintln!("{GOODBYE}");
        Ok(())
    }
}

/// What the victim says when it stops in order.
const GOODBYE: &str = "the victim says goodbye";

/// Does nothing.
struct Worker;

impl Actor for Worker {
    type Msg = Tick;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Tick>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

async fn program(node: Handle) -> Result<SupervisorRef, ApplicationError> {
    let (of_sloth, of_victim) = (node.clone(), node);
    let small = Mailbox::new(Policy::Refuse).messages_max(WAITING);
    let sloth = ChildSpec::process("sloth", small, move || (Sloth(of_sloth.clone()), ()));
    let top = Supervisor::new(Strategy::OneForOne)
        .child(sloth.shutdown(Shutdown::BrutalKill))
        .child(ChildSpec::process("victim", Mailbox::default(), move || (Victim(of_victim.clone()), ())))
        .child(ChildSpec::supervisor("workers", || {
            SimpleOneForOne::process(Mailbox::default(), |()| (Worker, ()))
        }))
        .start()
        .await?;
    let sloth: Process<Tick> = top.child("sloth").await?.reference().unwrap();
    sloth.cast(Tick).await?;
    while sloth.mailbox().messages > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..WAITING {
        sloth.cast(Tick).await?;
    }
    sloth.cast(Tick).await.unwrap_err();
    let workers: SimpleOneForOneRef<()> = top.child("workers").await?.reference().unwrap();
    for _ in 0..WORKERS {
        workers.start_child(()).await?;
    }
    Ok(top)
}

/// Not a test by itself: the process that the other test starts and kills.
#[test]
fn a_node_with_a_program() {
    let Some(arguments) = std::env::var_os(ROLE) else { return };
    let arguments = arguments.to_str().unwrap().lines().map(OsString::from);
    let node = Node::builder().application("program", program);
    assert_eq!(
        node.main_with(std::iter::once(OsString::from("program")).chain(arguments)),
        ExitCode::SUCCESS
    );
}

fn node(arguments: &[OsString]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_node_with_a_program", "--nocapture"]);
    command.env(ROLE, arguments.join(&OsString::from("\n")));
    command
}

/// Exit code and standard output.
async fn run(nodes: &Nodes, through: usize, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    forget_environment(&mut command);
    command.arg("processes").args(arguments).arg("--admin-token-file").arg(nodes.admin_token_file());
    command.args(["--ops", &format!("http://{}", nodes.nodes[through].ports.ops)]);
    let output = command.output().await.unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

async fn until_printed(nodes: &Nodes, through: usize, arguments: &[&str], words: &[&str]) -> String {
    let mut last = String::new();
    let printed = async || {
        last = run(nodes, through, arguments).await.1;
        words.iter().all(|word| last.contains(word))
    };
    until(&format!("`processes` prints {words:?}"), printed).await;
    last
}

#[tokio::test]
async fn operators_see_the_processes_of_all_nodes() {
    let mut nodes = Nodes::start(node, &[]).await;
    let names: Vec<_> = nodes.nodes.iter().map(|node| node.name.clone()).collect();

    // One of them tells itself something now and then: that is one message more.
    let heads: Vec<_> =
        names.iter().map(|name| format!("{name}: 27 processes, 2 supervisors, 3 messages")).collect();
    let heads: Vec<_> = heads.iter().map(String::as_str).collect();
    let trees = until_printed(&nodes, 0, &[], &heads).await;
    assert_eq!(run(&nodes, 0, &[]).await.0, 0);
    for words in [
        "> one_for_one\n",
        "├─ sloth <",
        "Sloth, 3 messages",
        ", 1 refused, ",
        "named sloth, sloth of",
        "└─ workers <",
    ] {
        assert_eq!(trees.matches(words).count(), 3, "{words} in\n{trees}");
    }
    assert_eq!(trees.matches("… and 5 more; --limit").count(), 3, "20 of the workers are shown:\n{trees}");

    let (code, one) = run(&nodes, 0, &["--node", &names[1], "--limit", "25", "--output", "json"]).await;
    assert_eq!(code, 0, "{one}");
    let one: Value = serde_json::from_str(&one).unwrap();
    let [shown] = &one["nodes"].as_array().unwrap()[..] else { panic!("{one}") };
    assert_eq!((&shown["name"], &shown["heard"]), (&json!(names[1]), &json!(true)));
    let workers = &shown["processes"]["trees"]["shown"][0]["children"]["shown"][2];
    assert_eq!(workers["children"]["shown"].as_array().unwrap().len(), WORKERS);
    assert_eq!((&workers["id"], &workers["children"]["more"]), (&json!("workers"), &json!(0)));

    let (_, table) = run(&nodes, 2, &["--names"]).await;
    let is_there = |row: [&str; 3]| {
        table.lines().any(|line| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).take(3).eq(row))
    };
    for name in &names {
        assert!(
            is_there(["sloth", "node", name]) && is_there([&format!("sloth of {name}"), "cluster", name]),
            "{table}"
        );
    }
    let (_, groups) = run(&nodes, 2, &["--groups"]).await;
    assert_eq!(groups.lines().filter(|line| line.starts_with("sloths  ")).count(), 3, "{groups}");
    let more = ["… and 1 more process with messages waiting"];
    let deepest = until_printed(&nodes, 2, &["--deepest", "--limit", "2"], &more).await;
    assert!(deepest.lines().filter(|line| line.starts_with("3 ")).count() == 2, "{deepest}");

    for (metric, value) in [
        ("playhouse_processes", 27.0),
        ("playhouse_process_mailbox_messages", 3.0),
        ("playhouse_process_mailbox_messages_deepest", 3.0),
        ("playhouse_process_messages_lost_total{reason=\"refused\"}", 1.0),
    ] {
        let is_so = async || nodes.nodes[0].metrics().await.unwrap().get(metric) == Some(value);
        until(&format!("{metric} is {value}"), is_so).await;
    }

    // A process crashes and is restarted.
    let news = nodes.any().entity("counter", format!("bad-news-for-{}", names[1])).unwrap();
    let _: Value = news.call(&json!({"add": 1})).await.unwrap();
    let of_one = ["--node", names[1].as_str()];
    let restarted = until_printed(&nodes, 0, &of_one, &["since its start 1 restart, 1 crash"]).await;
    assert!(restarted.contains("> one_for_one, 1 restart\n"), "{restarted}");

    // A node that is gone is named.
    nodes.nodes[2].kill().await;
    let gone = format!("{}: its processes are not known: it does not answer\n", names[2]);
    for view in [&[][..], &["--names"], &["--groups"], &["--deepest"]] {
        let (code, printed) = run(&nodes, 0, view).await;
        assert!(code == 0 && printed.contains(&gone), "{view:?}: {printed}");
    }
    let (code, printed) = run(&nodes, 0, &["--node", &names[2]]).await;
    assert_eq!((code, printed), (4, gone));
    assert_eq!(run(&nodes, 0, &["--node", "nobody"]).await.0, 3);
    assert_eq!(run(&nodes, 0, &["--names", "--groups"]).await.0, 2);

    // Programs stop with their node.
    nodes.nodes[2].start();
    nodes.until_whole().await;
    until_printed(&nodes, 0, &[], &[&format!("{}: 27 processes", names[2])]).await;
    nodes.nodes[0].terminate().await;
    assert!(nodes.nodes[0].ended().await.success());
    let log = nodes.nodes[0].log();
    assert!(log.contains(GOODBYE), "{log}");
    for words in ["an application did not stop in time", "nothing starts it again"] {
        assert!(!log.contains(words), "{log}");
    }
}
