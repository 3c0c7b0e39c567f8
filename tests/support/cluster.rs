//! A cluster of processes, as `playhouse dev` starts it, and the command line beside it.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use playhouse_client::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::{interval, timeout},
};

use super::process::{PATIENCE, forget_environment, http};

/// How often a test looks whether what it waits for is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where the nodes log.
const LOG: &str = "cluster.log";
/// How many lines of it are shown when a test fails.
const LOG_LINES_MAX: usize = 400;

/// `playhouse dev` with its nodes.
pub struct DevCluster {
    pub nodes: Vec<DevNode>,
    directory: PathBuf,
    process: Child,
}

/// A node of it, as the address file says.
#[derive(Clone, Debug, Deserialize)]
pub struct DevNode {
    pub name: String,
    pub gateway: String,
    pub ops: String,
    pub pid: u32,
    pub config: PathBuf,
}

/// What a command printed.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Printed {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl DevCluster {
    /// Starts it with its files in `directory`; returns when all nodes are ready.
    pub async fn start(directory: &Path, nodes: usize) -> Self {
        let file = directory.join("cluster.json");
        // Of an earlier start.
        drop(std::fs::remove_file(&file));
        let mut command = playhouse(directory);
        command.args(["dev", "--nodes", &nodes.to_string(), "--set", "node.shards=4"]);
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
            "--set",
            "peer.listen=127.0.0.1:0",
            // All connections that a pair of nodes may have.
            "--set",
            "processes.ractor_cluster=on",
        ]);
        let log = std::fs::File::create(directory.join(LOG)).unwrap();
        command.arg("--address-file").arg(&file).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().unwrap();
        let ready = until(async || {
            if let Some(status) = process.try_wait().unwrap() {
                show_log(directory);
                panic!("the cluster ended with {status} before it was ready; its log is above");
            }
            serde_json::from_slice::<Value>(&std::fs::read(&file).ok()?).ok()
        });
        let addresses = ready.await;
        let found = serde_json::from_value(addresses["nodes"].clone()).unwrap();
        let cluster = Self { nodes: found, directory: directory.to_owned(), process };
        assert_eq!(cluster.nodes.len(), nodes);
        assert_eq!(addresses["gateway"], cluster.nodes[0].gateway);
        cluster
    }

    /// Runs the command line, which knows all nodes.
    pub async fn run(&self, arguments: &[&str]) -> Printed {
        let all = |pick: fn(&DevNode) -> &String| {
            self.nodes.iter().map(pick).cloned().collect::<Vec<_>>().join(",")
        };
        let mut command = playhouse(&self.directory);
        command.args(arguments).env("PLAYHOUSE_OPS", all(|node| &node.ops));
        command.env("PLAYHOUSE_SERVER", all(|node| &node.gateway));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Output { status, stdout, stderr } =
            timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Printed { code: status.code().expect("it ends by itself"), out: text(stdout), err: text(stderr) }
    }

    /// Runs a command again and again, until what it printed is as wanted.
    pub async fn run_until(&self, arguments: &[&str], is_wanted: impl Fn(&Printed) -> bool) -> Printed {
        until(async || Some(self.run(arguments).await).filter(|printed| is_wanted(printed))).await
    }

    /// Returns when `playhouse status` finds nothing wrong on any node.
    pub async fn until_well(&self) -> Printed {
        self.run_until(&["status"], |printed| printed.code == 0).await
    }

    /// A client of one node.
    pub fn client(&self, number: usize) -> Client {
        let mut config = Config::new([&self.nodes[number].gateway]).unwrap();
        config.timeout = PATIENCE;
        Client::new(config).unwrap()
    }

    /// Status and body of `path` on the ops port of a node.
    pub async fn ops(&self, number: usize, path: &str) -> (u16, String) {
        let address = self.nodes[number].ops.strip_prefix("http://").unwrap().parse().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        http(address, &request).await.expect("the ops port answers")
    }

    /// Returns once the metrics of a node have all these lines.
    pub async fn until_counted(&self, number: usize, lines: &[&str]) {
        until(async || {
            let metrics = self.ops(number, "/metrics").await.1;
            lines.iter().all(|line| metrics.lines().any(|found| found == *line)).then_some(())
        })
        .await;
    }

    /// Starts a node that ended, as the cluster says one can.
    pub async fn start_again(&mut self, number: usize) -> Child {
        let node = &mut self.nodes[number];
        let file = self.directory.join("again.json");
        let mut command = playhouse(&self.directory);
        command.args(["dev", "--nodes", "1", "--config"]).arg(&node.config);
        command.arg("--address-file").arg(&file).stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        let addresses = until(async || {
            assert!(process.try_wait().unwrap().is_none(), "it runs; its log is above");
            serde_json::from_slice::<Value>(&std::fs::read(&file).ok()?).ok()
        });
        let addresses = addresses.await;
        node.gateway = addresses["gateway"].as_str().unwrap().to_owned();
        node.ops = addresses["ops"].as_str().unwrap().to_owned();
        process
    }

    /// The process that started the nodes.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// Sends SIGTERM; returns how it ended.
    pub async fn terminate(&mut self) -> std::process::ExitStatus {
        terminate(&self.process).await;
        timeout(PATIENCE, self.process.wait()).await.expect("it ends in time").unwrap()
    }

    /// What the nodes have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join(LOG)).unwrap()
    }

    /// Returns when none of the nodes runs any more.
    pub async fn until_nothing_runs(&self) {
        until(async || self.nodes.iter().all(|node| !is_running(node.pid)).then_some(())).await;
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_log(&self.directory);
        }
    }
}

/// The end of what the nodes logged.
fn show_log(directory: &Path) {
    let text = std::fs::read_to_string(directory.join(LOG)).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines.len().saturating_sub(LOG_LINES_MAX);
    eprintln!("{}", lines[last..].join("\n"));
}

/// Sends SIGTERM.
pub async fn terminate(process: &Child) {
    signal("-TERM", process.id().expect("it runs")).await;
}

/// Sends a signal.
pub async fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().await.unwrap();
    assert!(sent.success());
}

/// Whether there is such a process, and it has not ended: who should hear of its end may not have looked yet.
pub fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Looks until there is something.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = interval(LOOK_EVERY);
    let found = async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it comes in time")
}

fn playhouse(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    forget_environment(&mut command);
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}
