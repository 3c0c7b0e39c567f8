//! Three nodes as processes of their own, which form one cluster: killed, frozen, told to leave, started again with the
//! same addresses and volumes.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use playhouse_client::{Client, Config, Ops, Token};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::process::{Program, forget_environment, http};

/// How many nodes there are.
pub const NODES: usize = 3;
/// Into how many shards entities are divided.
pub const SHARDS: usize = 16;
/// How long something that must happen may take before a test gives up. Nothing here takes a fifth of it.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How often a test looks whether what it waits for is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The token of the operator.
const ADMIN: &str = "0123456789abcdef0123456789abcdef";
/// How many lines of each log a failed test shows.
const LINES_SHOWN: usize = 60;

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub gateway: SocketAddr,
    pub ops: SocketAddr,
    pub peer: SocketAddr,
}

/// Three nodes that form one cluster.
pub struct Nodes {
    pub nodes: Vec<Node>,
    /// The secret that all know.
    pub cookie: String,
    program: Program,
    shared: Vec<String>,
    folder: TempDir,
}

/// One of them.
pub struct Node {
    pub name: String,
    pub ports: Ports,
    /// Settings that only this node has.
    pub settings: Vec<String>,
    /// A program that runs the node as its own process, such as `ip netns exec name`; usually none.
    pub wrapper: Vec<OsString>,
    pub program: Program,
    folder: PathBuf,
    shared: Vec<String>,
    process: Option<Child>,
}

impl Nodes {
    /// Starts them on addresses of their own; returns when they form one cluster with all its replicas.
    pub async fn start(program: Program, settings: &[&str]) -> Self {
        let mut nodes = Self::prepare(program, &free_ports(NODES), settings);
        nodes.nodes.iter_mut().for_each(Node::start);
        nodes.until_whole().await;
        nodes
    }

    /// As [`start`](Self::start), but starts nothing yet. `ports` beyond those of three nodes are for others, which the nodes
    /// look for but do not count on.
    pub fn prepare(program: Program, ports: &[Ports], settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cookie = new_cookie();
        write_secret(&folder.path().join("admin"), ADMIN);
        let seeds: Vec<_> = ports.iter().map(|ports| ports.peer.to_string()).collect();
        let names: Vec<_> = (0..NODES).map(name).collect();
        let mut shared = vec![
            format!("peer.seeds={}", seeds.join(",")),
            format!("ops.admin_token_file={}", folder.path().join("admin").display()),
            format!("bootstrap.members={}", names.join(",")),
            format!("bootstrap.initiator={}", names[0]),
            format!("node.shards={SHARDS}"),
            "log.level=info".to_owned(),
        ];
        shared.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let mut nodes = Self { nodes: Vec::new(), program, folder, shared, cookie };
        nodes.nodes =
            ports.iter().take(NODES).enumerate().map(|(at, ports)| nodes.another(name(at), *ports)).collect();
        nodes
    }

    /// One more node, which knows the cookie and where the others are. It runs once it is started.
    pub fn another(&self, name: String, ports: Ports) -> Node {
        let node = Node {
            folder: self.folder.path().join(&name),
            name,
            ports,
            settings: Vec::new(),
            wrapper: Vec::new(),
            program: self.program,
            shared: self.shared.clone(),
            process: None,
        };
        fs::create_dir_all(&node.folder).unwrap();
        write_secret(&node.cookie_file(), &self.cookie);
        node
    }

    /// Where the token of the operator is.
    pub fn admin_token_file(&self) -> PathBuf {
        self.folder.path().join("admin")
    }

    /// Where files of the test may lie beside those of the nodes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client that knows the gateways of these nodes and tries for 20 s.
    pub fn client(&self, of: &[usize]) -> Client {
        client(of.iter().map(|at| &self.nodes[*at]))
    }

    /// A client that knows all gateways.
    pub fn any(&self) -> Client {
        client(&self.nodes)
    }

    /// Returns when every node is ready and knows three members that are up, each with a replica of everything, and every
    /// shard is led.
    pub async fn until_whole(&mut self) {
        for node in &mut self.nodes {
            node.until_serving().await;
        }
        until("the cluster is whole", async || {
            let views = join_all(self.nodes.iter().map(Node::members)).await;
            views.iter().all(|members| is_whole(members))
        })
        .await;
        for node in &self.nodes {
            node.until_ready().await;
        }
    }

    /// Returns when these nodes lead all shards among them.
    pub async fn until_led_by(&self, these: &[usize]) {
        until("others lead", async || {
            let metrics = join_all(these.iter().map(|at| self.nodes[*at].metrics())).await;
            metrics.iter().flatten().map(Metrics::shards_led).sum::<usize>() == SHARDS
        })
        .await;
    }
}

fn is_whole(members: &[Member]) -> bool {
    members.len() == NODES
        && members.iter().all(Member::is_whole)
        && members.iter().filter_map(|member| member.leads).sum::<usize>() == SHARDS
}

/// A member, as the node that was asked shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    pub name: String,
    pub state: String,
    pub raft_id: String,
    /// `None`: it did not answer.
    pub leads: Option<usize>,
    pub replicas: usize,
    pub arriving: usize,
    pub is_system_voter: bool,
}

impl Member {
    /// Whether it takes part in everything.
    pub fn is_whole(&self) -> bool {
        self.state == "up" && self.replicas == SHARDS && self.arriving == 0 && self.is_system_voter
    }
}

/// A failed test shows what the nodes said last. They end with it, whatever they do: children are killed when dropped.
impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                let log = node.log();
                // The test itself asks all the time how the node is.
                let lines: Vec<_> = log.lines().filter(|line| !line.contains("admin command")).collect();
                let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
                println!("── the end of the log of {}\n{}", node.name, last.join("\n"));
            }
        }
    }
}

impl Node {
    /// Starts the process. It may not serve for a while.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        drop(fs::remove_file(self.address_file()));
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command();
        forget_environment(&mut command);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        self.process = Some(command.spawn().unwrap());
    }

    /// Returns when it is a member that answers clients.
    pub async fn until_serving(&mut self) {
        let client = client([&*self]);
        let (name, address_file, log_file) = (self.name.clone(), self.address_file(), self.log_file());
        let process = self.process.as_mut().expect("it was started");
        until(&format!("{name} serves"), async || {
            let ended = process.try_wait().unwrap();
            let log = || fs::read_to_string(&log_file).unwrap_or_default();
            assert_eq!(ended, None, "{name} ended before it served:\n{}", log());
            let text = fs::read(&address_file).unwrap_or_default();
            serde_json::from_slice::<Value>(&text).is_ok()
        })
        .await;
        let counter = client.entity("counter", "is-it-there").unwrap();
        counter.call::<_, Value>(&json!({"get": {}})).await.unwrap();
    }

    /// Starts it; returns when it is a member that answers clients.
    pub async fn start_again(&mut self) {
        self.start();
        self.until_serving().await;
    }

    /// As a power cut for the process: nothing is flushed, nobody is told.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").kill().await.unwrap();
    }

    /// It makes no step until it is thawed; its connections stay open.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// It goes on as if no time had passed.
    pub async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    /// Asks it to leave.
    pub async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// Ends it in order; returns how long that took.
    pub async fn stop(&mut self) -> Duration {
        let begin = Instant::now();
        self.terminate().await;
        let status = self.ended().await;
        assert!(status.success(), "{} ended with {status}", self.name);
        begin.elapsed()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        timeout(PATIENCE, process.wait()).await.expect("it ends in time").unwrap()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Whether its main thread has ended. Threads that wait for a disk may be left; nobody can end those.
    pub fn has_ended_but_for_its_disk(&self) -> bool {
        let process = self.process.as_ref().and_then(Child::id).expect("nobody waited for its end");
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    async fn signal(&self, signal: &str) {
        let process = self.process.as_ref().and_then(Child::id).expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &process]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Everything that it wrote, all starts together.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Returns when its log has a line with all of these.
    pub async fn until_logged(&self, words: &[&str]) {
        let is_logged = || self.log().lines().any(|line| words.iter().all(|word| line.contains(word)));
        let look = async {
            while !is_logged() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let looked = timeout(PATIENCE, look).await;
        assert!(looked.is_ok(), "{} never logs {words:?}:\n{}", self.name, self.log());
    }

    /// Where its identity and state are.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Status and body of `path` on the ops port. `None`: it did not answer.
    pub async fn ops(&self, path: &str) -> Option<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        timeout(Duration::from_secs(2), http(self.ports.ops, &request)).await.ok().flatten()
    }

    /// Whether a load balancer should send requests to it.
    pub async fn is_ready(&self) -> bool {
        self.ops("/readyz").await.is_some_and(|(status, _)| status == 200)
    }

    /// Returns when a load balancer should send requests to it.
    pub async fn until_ready(&self) {
        until(&format!("{} is ready", self.name), async || self.is_ready().await).await;
    }

    /// What it measures. `None`: it did not answer.
    pub async fn metrics(&self) -> Option<Metrics> {
        self.ops("/metrics").await.map(|(_, text)| Metrics(text))
    }

    /// The members of its cluster, as it knows them. None: it did not answer.
    pub async fn members(&self) -> Vec<Member> {
        #[derive(Deserialize)]
        struct Members {
            members: Vec<Member>,
        }
        let address = format!("http://{}", self.ports.ops).parse().unwrap();
        let mut config = Config::for_addresses(Vec::new());
        config.token = Some(Token::new(ADMIN).unwrap());
        config.timeout = Duration::from_secs(5);
        let answer = Ops::new(address, config).unwrap().act::<Members>("nodes", &Value::Null).await;
        answer.map(|all| all.members).unwrap_or_default()
    }

    /// Returns when it leads some shards.
    pub async fn until_leading(&self) {
        until(&format!("{} leads", self.name), async || {
            self.metrics().await.is_some_and(|metrics| metrics.shards_led() > 0)
        })
        .await;
    }

    /// Returns when it leads no shard.
    pub async fn until_led_none(&self) {
        until(&format!("{} leads nothing", self.name), async || {
            self.metrics().await.is_some_and(|metrics| metrics.shards_led() == 0)
        })
        .await;
    }

    /// The program with a command about the volume of this node.
    pub fn offline(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        all.extend(self.volume_arguments());
        (self.program)(&all)
    }

    fn volume_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), self.data().into()];
        let own = [
            format!("node.name={}", self.name),
            format!("peer.listen={}", self.ports.peer),
            format!("peer.cookie_file={}", self.cookie_file().display()),
        ];
        for setting in own.iter().chain(&self.shared).chain(&self.settings) {
            arguments.extend(["--set".into(), setting.into()]);
        }
        arguments
    }

    fn command(&self) -> Command {
        let mut arguments: Vec<OsString> = vec!["run".into()];
        arguments.extend(self.volume_arguments());
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--listen", self.ports.gateway.to_string().into());
        option("--ops-listen", self.ports.ops.to_string().into());
        option("--address-file", self.address_file().into());
        let command = (self.program)(&arguments);
        let Some((wrapper, more)) = self.wrapper.split_first() else { return command };
        let mut wrapped = Command::new(wrapper);
        wrapped.args(more).arg(command.as_std().get_program()).args(command.as_std().get_args());
        for (name, value) in command.as_std().get_envs() {
            value.map(|value| wrapped.env(name, value));
        }
        wrapped
    }

    /// Where its copy of the cookie is.
    pub fn cookie_file(&self) -> PathBuf {
        self.folder.join("cookie")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn address_file(&self) -> PathBuf {
        self.folder.join("address.json")
    }
}

/// What a node measures.
pub struct Metrics(String);

impl Metrics {
    /// The value of the line that starts with this name and these labels.
    pub fn get(&self, name: &str) -> Option<f64> {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value)
    }

    pub fn shards_led(&self) -> usize {
        self.get("playhouse_shards_led").unwrap_or_default() as usize
    }
}

/// Returns once the node has counted it.
pub async fn counted(node: &Node, metric: &str) {
    let count = async || node.metrics().await.and_then(|metrics| metrics.get(metric)).unwrap_or_default();
    until(&format!("{metric} counts"), async || count().await >= 1.0).await;
}

/// Looks again and again until `is_so`; fails when that takes too long.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    assert!(timeout(PATIENCE, look).await.is_ok(), "waited too long until {what}");
}

/// A client that knows the gateways of these nodes and tries for 20 s.
pub fn client<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Client {
    let gateways = nodes.into_iter().map(|node| format!("http://{}", node.ports.gateway));
    let mut config = Config::new(gateways).unwrap();
    config.timeout = Duration::from_secs(20);
    config.attempt_timeout = Duration::from_secs(3);
    config.connect_timeout = Duration::from_secs(1);
    config.backoff.max = Duration::from_millis(500);
    Client::new(config).unwrap()
}

/// A new secret.
pub fn new_cookie() -> String {
    let secret: [u8; 32] = SmallRng::from_os_rng().random();
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces a file at once by one that only its owner may read.
pub fn write_secret(file: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let new = file.with_extension("new");
    let mut writer =
        fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&new).unwrap();
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    fs::rename(new, file).unwrap();
}

/// Addresses that stay free: nodes come back to theirs, and an outgoing connection may be given any port of 127.0.0.1
/// meanwhile. Each cluster has a loopback address of its own, where the system has them.
pub fn free_ports(nodes: usize) -> Vec<Ports> {
    let [a, b] = SmallRng::from_os_rng().random::<[u8; 2]>();
    let own = IpAddr::from(Ipv4Addr::new(127, 1 + a % 254, b, 1));
    let host = if TcpListener::bind((own, 0)).is_ok() { own } else { Ipv4Addr::LOCALHOST.into() };
    // All are held until all are known.
    let listeners: Vec<_> = (0..3 * nodes).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let ports = |three: &[SocketAddr]| Ports { gateway: three[0], ops: three[1], peer: three[2] };
    addresses.chunks(3).map(ports).collect()
}

fn name(at: usize) -> String {
    format!("node-{at}")
}
