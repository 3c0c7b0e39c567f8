//! The programs of Prometheus, where they are installed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    cluster::{DevCluster, until},
    process::http,
    rule,
};

/// Where a program is. `None` where it may be missing; says so.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        let is_required = std::env::var_os("PLAYHOUSE_CI").is_some_and(|value| value == "1");
        assert!(!is_required, "{name} is missing: install Debian's package `prometheus`");
        eprintln!("skipped: {name} is not installed (Debian: package `prometheus`)");
    }
    found
}

/// What promtool said, if it is there; it must not fail.
pub fn promtool(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program("promtool")?)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    Some(said)
}

/// A server that scrapes a cluster every second, with our rules.
pub struct Prometheus {
    address: SocketAddr,
    _process: Child,
}

impl Prometheus {
    /// Starts it; returns when it answers.
    pub async fn start(program: &Path, directory: &Path, cluster: &DevCluster) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(directory.join("rules.yaml"), impatient(&rule::groups())).unwrap();
        std::fs::write(directory.join("prometheus.yaml"), configuration(cluster)).unwrap();
        let log = std::fs::File::create(directory.join("prometheus.log")).unwrap();
        let mut command = Command::new(program);
        command.arg("--config.file=prometheus.yaml").arg("--storage.tsdb.path=prometheus");
        command.arg(format!("--web.listen-address={address}"));
        command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        until(async || {
            if let Some(status) = process.try_wait().unwrap() {
                let log = std::fs::read_to_string(directory.join("prometheus.log")).unwrap();
                panic!("prometheus ended with {status}: {log}");
            }
            http(address, "GET /-/ready HTTP/1.0\r\n\r\n").await.filter(|(status, _)| *status == 200)
        })
        .await;
        Self { address, _process: process }
    }

    /// The alerts that fire.
    pub async fn firing(&self) -> BTreeSet<String> {
        let data = self.get("/api/v1/alerts").await;
        let alerts = data["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        alerts.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether an expression has a result that is a number.
    pub async fn has_numbers(&self, expr: &str) -> bool {
        let data = self.get(&format!("/api/v1/query?query={}", percent_encoded(expr))).await;
        let results = data["result"].as_array().unwrap().iter();
        results.map(|result| result["value"][1].as_str().unwrap()).any(|value| value != "NaN")
    }

    async fn get(&self, path: &str) -> Value {
        // With HTTP/1.0 the answer comes in one piece.
        let answer = http(self.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        let (status, body) = answer.expect("prometheus answers");
        assert_eq!(status, 200, "{path}: {body}");
        let mut json: Value = serde_json::from_str(&body).unwrap();
        json["data"].take()
    }
}

/// The rules, only that they wait as long as an election may take, and not for minutes.
fn impatient(rules: &str) -> String {
    let line = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 5s\n"),
        _ => format!("{line}\n"),
    };
    rules.lines().map(line).collect()
}

/// Gives the nodes the labels that they have on Kubernetes.
fn configuration(cluster: &DevCluster) -> String {
    let mut text = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n  \
                    - job_name: playhouse\n    static_configs:\n"
        .to_owned();
    for node in &cluster.nodes {
        let target = node.ops.strip_prefix("http://").unwrap();
        let labels = format!("{{namespace: test, pod: {}, track: stable}}", node.name);
        writeln!(text, "      - {{targets: [\"{target}\"], labels: {labels}}}").unwrap();
    }
    text
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
