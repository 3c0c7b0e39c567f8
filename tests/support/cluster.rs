//! A cluster of processes: `playhouse run`, each with a volume and ports of its own.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use playhouse_client::{Client, Config};
use tokio::{
    process::{Child, Command},
    time::{interval, timeout},
};

use super::process::{PATIENCE, forget_environment, http};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const TOKEN: &str = "the-token-of-the-test";

/// Some nodes of one cluster, of which the first three form it.
pub struct Cluster {
    folder: PathBuf,
    shards: u16,
    addresses: Vec<[SocketAddr; 3]>,
    running: Vec<Option<Child>>,
}

impl Cluster {
    /// Prepares `count` nodes below `folder`; nothing runs yet.
    pub fn new(folder: &Path, count: usize, shards: u16) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let cookie = folder.join("cookie");
        std::fs::write(&cookie, "a cookie that has more than 32 bytes, for a test").unwrap();
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(folder.join("token"), TOKEN).unwrap();
        // All are held until all are known, so that they differ.
        let held: Vec<_> =
            (0..count).map(|_| [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let addresses =
            held.iter().map(|some| some.each_ref().map(|one| one.local_addr().unwrap())).collect();
        let running = (0..count).map(|_| None).collect();
        Self { folder: folder.to_owned(), shards, addresses, running }
    }

    /// Where the node keeps everything.
    pub fn volume(&self, at: usize) -> PathBuf {
        self.folder.join(format!("node-{at}"))
    }

    /// The settings of a node, as arguments of `run` and of the commands that prepare its volume.
    pub fn settings(&self, at: usize) -> Vec<String> {
        let [gateway, ops, peer] = self.addresses[at];
        let seeds: Vec<_> = self.addresses.iter().map(|[_, _, peer]| peer.to_string()).collect();
        let file = |name: &str| self.folder.join(name).display().to_string();
        let set = [
            ("node.name", format!("node-{at}")),
            ("node.data_dir", self.volume(at).display().to_string()),
            ("node.shards", self.shards.to_string()),
            ("gateway.listen", gateway.to_string()),
            ("ops.listen", ops.to_string()),
            ("ops.admin_token_file", file("token")),
            ("peer.listen", peer.to_string()),
            ("peer.cookie_file", file("cookie")),
            ("peer.seeds", seeds.join(",")),
            ("bootstrap.members", "node-0,node-1,node-2".to_owned()),
            ("bootstrap.initiator", "node-0".to_owned()),
            ("drain.budget", "5s".to_owned()),
        ];
        set.into_iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
    }

    /// Starts a node.
    pub fn start(&mut self, at: usize) {
        self.start_with(at, &[]);
    }

    /// Starts a node with more in its environment.
    pub fn start_with(&mut self, at: usize, environment: &[(&str, &Path)]) {
        let mut command = playhouse(["run".to_owned()].into_iter().chain(self.settings(at)));
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        let log = self.folder.join(format!("node-{at}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        self.running[at] = Some(command.stderr(log).kill_on_drop(true).spawn().unwrap());
    }

    /// What the node has logged.
    pub fn log(&self, at: usize) -> String {
        std::fs::read_to_string(self.folder.join(format!("node-{at}.log"))).unwrap()
    }

    /// Kills a node.
    pub async fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.running[at].take() {
            process.kill().await.unwrap();
        }
    }

    /// Waits for the end of a node.
    pub async fn ended(&mut self, at: usize) -> ExitStatus {
        let process = self.running[at].as_mut().expect("it was started");
        timeout(PATIENCE, process.wait()).await.expect("it ends in time").unwrap()
    }

    /// Returns once `at` says that it is ready.
    pub async fn ready(&mut self, at: usize) {
        let mut look = interval(LOOK_EVERY);
        let mut said = None;
        for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
            look.tick().await;
            let status = self.running[at].as_mut().expect("it was started").try_wait().unwrap();
            assert_eq!(status, None, "node {at} ended; its log:\n{}", self.log(at));
            said = http(self.addresses[at][1], &get("/readyz")).await;
            if said.as_ref().is_some_and(|(status, _)| *status == 200) {
                return;
            }
        }
        panic!("node {at} is not ready: {said:?}; its log:\n{}", self.log(at));
    }

    /// What `/metrics` of a node says under `name`, summed.
    pub async fn metric(&self, at: usize, name: &str) -> Option<f64> {
        let (_, text) = http(self.addresses[at][1], &get("/metrics")).await?;
        let values = text.lines().filter(|line| line.starts_with(name));
        values.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The ops port of a node, for `--ops`.
    pub fn ops(&self, at: usize) -> String {
        format!("http://{}", self.addresses[at][1])
    }

    /// The file with the token of operators.
    pub fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// A client of these nodes that tries as long as the test is patient.
    pub fn client(&self, nodes: &[usize]) -> Client {
        let servers = nodes.iter().map(|at| format!("http://{}", self.addresses[*at][0]));
        let mut config = Config::new(servers).unwrap();
        config.timeout = PATIENCE;
        Client::new(config).unwrap()
    }
}

/// The binary that ships.
pub fn playhouse(arguments: impl IntoIterator<Item = String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    forget_environment(&mut command);
    command.args(arguments);
    command
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
}
