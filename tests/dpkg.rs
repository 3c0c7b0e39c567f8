//! Real work, end to end: the packages of a Debian machine are loaded with `playhouse send` into a node that is killed
//! in the middle. Afterwards, and after the same file was sent again, every package is there exactly once, each
//! counter is exact, and each queue has exactly its packages in their order.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[path = "../examples/dpkg/commands.rs"]
mod commands;
#[path = "../examples/dpkg/control.rs"]
mod control;
#[path = "support/process.rs"]
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use commands::Package;
use control::Paragraphs;
use playhouse_client::{Client, ListQuery};
use process::{NodeProcess, PATIENCE, forget_environment, playhouse};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{interval, timeout},
};

/// What the cluster must hold in the end.
#[derive(Default)]
struct Expected {
    /// By package.
    documents: BTreeMap<String, Value>,
    /// How many packages depend on a name.
    counters: BTreeMap<String, u64>,
    /// The packages of a section, in the order of the file.
    queues: BTreeMap<String, Vec<String>>,
}

impl Expected {
    fn of(packages: &[Package]) -> Self {
        let mut expected = Self::default();
        for package in packages {
            expected.documents.insert(package.name.clone(), package.document());
            for name in &package.depends {
                *expected.counters.entry(name.clone()).or_default() += 1;
            }
            expected.queues.entry(package.section.clone()).or_default().push(package.name.clone());
        }
        expected
    }
}

/// This machine's packages, or invented ones where there is no dpkg.
fn packages() -> Vec<Package> {
    let text = std::fs::read_to_string("/var/lib/dpkg/status").ok().filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(invented);
    let mut names = BTreeSet::new();
    let mut packages = Vec::new();
    for paragraph in Paragraphs::new(text.as_bytes()) {
        let package = Package::read(&paragraph.unwrap(), |name| names.contains(name));
        if let Some(package) = package.filter(|package| names.insert(package.name.clone())) {
            packages.push(package);
        }
    }
    packages
}

fn invented() -> String {
    (0..500).fold(String::new(), |mut text, n| {
        let (section, other) = (n % 7, n / 3);
        writeln!(text, "Package: p{n}\nVersion: 1.{n}\nSection: s{section}").unwrap();
        writeln!(text, "Depends: libc6 (>= 2.{n}), p{other}:any | p0\nDescription: package {n}\n").unwrap();
        text
    })
}

/// Few lines in flight, so that there is a middle of the file to be killed in.
fn send(node: &NodeProcess, file: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    command.args(["--server", &node.url(), "--output", "json", "send", file.to_str().unwrap()]);
    command.args(["--in-flight", "8", "--retry-for", "120s"]);
    forget_environment(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn all_sent(sending: Child, lines: usize) {
    let output = timeout(PATIENCE, sending.wait_with_output()).await.expect("it ends in time").unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{} {summary}", output.status);
    assert_eq!((&summary["ok"], &summary["failed"]), (&json!(lines), &json!(0)), "{summary}");
}

/// Waits until the document of `package` is written.
async fn written(client: &Client, package: &str) {
    let document = client.entity("document", package).unwrap();
    let mut look = interval(Duration::from_millis(1));
    let written = async {
        while document.get::<Value>().await.unwrap().revision == 0 {
            look.tick().await;
        }
    };
    timeout(PATIENCE, written).await.expect("it is written in time");
}

async fn ask(client: &Client, kind: &str, key: &str, command: Value) -> Value {
    client.entity(kind, key).unwrap().call(&command).await.unwrap()
}

async fn check(client: &Client, expected: &Expected) {
    for (name, value) in &expected.documents {
        let found = ask(client, "document", name, json!({"get": {}})).await;
        assert_eq!(found["value"], *value, "{name}");
        assert_eq!(found["revision"], 1, "{name} was written once");
    }
    for (name, count) in &expected.counters {
        let found = ask(client, "counter", name, json!({"get": {}})).await;
        assert_eq!(found, json!({"value": count}), "{name}");
    }
    for (section, packages) in &expected.queues {
        check_queue(client, section, packages).await;
    }
    let keys = |map: &BTreeMap<String, _>| map.keys().cloned().collect::<Vec<String>>();
    assert_eq!(listed(client, "document").await, keys(&expected.documents));
    assert_eq!(listed(client, "counter").await.len(), expected.counters.len());
    assert_eq!(listed(client, "queue").await.len(), expected.queues.len());
}

async fn check_queue(client: &Client, section: &str, packages: &[String]) {
    let stats = ask(client, "queue", section, json!({"stats": {}})).await;
    assert_eq!(stats["ready"], packages.len(), "{section}");
    // More than this are not shown at once.
    const SHOWN_MAX: usize = 1000;
    let peeked = ask(client, "queue", section, json!({"peek": {"limit": SHOWN_MAX}})).await;
    let items: Vec<_> =
        peeked["waiting"].as_array().unwrap().iter().map(|item| item["item"].clone()).collect();
    let shown: Vec<_> = packages.iter().take(SHOWN_MAX).map(|name| json!(name)).collect();
    assert_eq!(items, shown, "{section}");
}

async fn listed(client: &Client, kind: &str) -> Vec<String> {
    let mut query = ListQuery::of(kind).unwrap().limit(1000);
    let mut keys = Vec::new();
    loop {
        let page = client.list(&query).await.unwrap();
        keys.extend(page.entities.into_iter().map(|listed| listed.key));
        match page.next_after {
            Some(after) => query = query.after(after),
            None => return keys,
        }
    }
}

fn write_commands(packages: &[Package], directory: &TempDir) -> (PathBuf, usize) {
    let lines: Vec<String> =
        packages.iter().flat_map(Package::commands).map(|line| line.to_string()).collect();
    let path = directory.path().join("commands.ndjson");
    std::fs::write(&path, lines.join("\n")).unwrap();
    (path, lines.len())
}

#[tokio::test]
async fn every_package_is_there_exactly_once_although_the_node_was_killed_and_the_file_sent_twice() {
    let directory = tempfile::tempdir().unwrap();
    let packages = packages();
    let expected = Expected::of(&packages);
    let (file, lines) = write_commands(&packages, &directory);
    let mut node = NodeProcess::start(playhouse, directory.path(), &[]).await;
    let client = node.client();

    let mut sending = send(&node, &file);
    written(&client, &packages[packages.len() / 8].name).await;
    node.kill().await;
    assert!(sending.try_wait().unwrap().is_none(), "the node was killed in the middle, not after the end");
    node.start_again().await;
    all_sent(sending, lines).await;
    check(&client, &expected).await;

    all_sent(send(&node, &file), lines).await;
    check(&client, &expected).await;
}
