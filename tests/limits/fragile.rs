//! A kind whose handler panics: the caller hears `crashed`, the entity is as before, and too many crashes close it.

use std::{convert::Infallible, ffi::OsString, process::ExitCode};

use playhouse::{
    entity::{Context, Entity, NoEvents},
    node::Node,
    protocol::Key,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::process::Command as Process;

use super::{call, process::NodeProcess};

/// Arguments of the node, separated by newlines. Tells the test below that it is one.
const ROLE: &str = "LIMITS_NODE";

/// A number, and a command that breaks it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Fragile {
    value: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Add(u64),
    AddThenPanic(u64),
}

impl Entity for Fragile {
    const KIND: &'static str = "fragile";
    const SUMMARY: &'static str = "Panics when asked to.";
    type Command = Command;
    type Reply = u64;
    type Event = NoEvents;
    type Error = Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<u64, Infallible> {
        let (Command::Add(add) | Command::AddThenPanic(add)) = command;
        let next = Self { value: self.value + add };
        let value = next.value;
        context.save(next);
        match command {
            Command::Add(_) => Ok(value),
            Command::AddThenPanic(_) => panic!("a secret of the handler"),
        }
    }
}

/// Not a test by itself: the process that the other test starts.
#[test]
fn a_node_with_a_fragile_kind() {
    let Some(arguments) = std::env::var_os(ROLE) else { return };
    let arguments = arguments.to_str().unwrap().lines().map(OsString::from);
    let node = Node::builder().kind::<Fragile>();
    let exit = node.main_with(std::iter::once(OsString::from("node")).chain(arguments));
    assert_eq!(exit, ExitCode::SUCCESS);
}

fn node(arguments: &[OsString]) -> Process {
    let mut command = Process::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fragile::a_node_with_a_fragile_kind", "--nocapture"]);
    command.env(ROLE, arguments.join(&OsString::from("\n")));
    command
}

#[tokio::test]
async fn a_handler_that_panics_changes_nothing_and_is_closed_after_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(node, directory.path(), &[]).await;
    let (add, panic) = (json!({"add": 1}), json!({"add_then_panic": 100}));
    assert_eq!(call(&node, "fragile/f", "", &add).await, Some((200, json!(1))));

    let (status, problem) = call(&node, "fragile/f", "", &panic).await.unwrap();
    assert_eq!((status, &problem["code"]), (500, &json!("crashed")));
    assert!(!problem.to_string().contains("secret"), "{problem}");
    assert_eq!(call(&node, "fragile/f", "", &add).await, Some((200, json!(2))), "as before the crash");

    // Three within ten seconds are forgiven; on a slow machine it takes a few more until four are that close.
    let mut crashes = 1;
    let problem = loop {
        match call(&node, "fragile/f", "", &panic).await.unwrap() {
            (500, problem) if problem["code"] == "crashed" && crashes < 100 => crashes += 1,
            (503, problem) => break problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(problem["code"], "quarantined");
    assert!(crashes > 3, "quarantined after {crashes} crashes");
    let (status, problem) = call(&node, "fragile/f", "", &add).await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("quarantined")));
    assert_eq!(call(&node, "fragile/other", "", &add).await, Some((200, json!(1))), "others go on");
    assert_eq!(node.ops("/readyz").await.0, 200);
    node.until_counted(r#"playhouse_quarantined_entities{kind="fragile"} 1"#).await;

    node.kill().await;
    node.start_again().await;
    assert_eq!(call(&node, "fragile/f", "", &add).await, Some((200, json!(3))), "no crash left anything");
    node.kill().await;
}
