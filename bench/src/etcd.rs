//! etcd, as three processes on loopback with `fsync` on, asked through its gRPC interface.

mod client;

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

pub use client::EtcdClient;

use crate::child::{Child, free_addresses};

const NODES: usize = 3;
/// How long three processes may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A cluster of etcd.
pub struct Etcd {
    clients: Vec<SocketAddr>,
    _children: Vec<Child>,
    // Last: processes end before their volumes.
    _folder: tempfile::TempDir,
}

impl Etcd {
    /// Starts it. Returns when each process has taken a write.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let addresses = free_addresses::<{ 2 * NODES }>();
        let (peers, clients) = addresses.split_at(NODES);
        let cluster: Vec<_> =
            (0..).zip(peers).map(|(at, peer): (usize, _)| format!("e{at}=http://{peer}")).collect();
        let start = |at: usize| {
            let (peer, client) = (format!("http://{}", peers[at]), format!("http://{}", clients[at]));
            let mut command = Command::new("etcd");
            command.arg("--name").arg(format!("e{at}"));
            command.arg("--data-dir").arg(folder.path().join(format!("e{at}")));
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"]);
            command.args(["--logger", "zap", "--log-level", "error"]);
            Child::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
        };
        let etcd =
            Self { clients: clients.to_vec(), _children: (0..NODES).map(start).collect(), _folder: folder };
        etcd.wait_until_ready().await;
        etcd
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        for address in &self.clients {
            while let Err(error) = write_once(*address).await {
                assert!(Instant::now() < deadline, "etcd takes writes in time: {error}");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// So many connections, spread over the processes.
    ///
    /// # Panics
    ///
    /// When one cannot be opened.
    pub async fn connect(&self, connections: usize) -> Vec<EtcdClient> {
        let addresses = self.clients.iter().cycle().take(connections);
        let opened = addresses.map(|address| EtcdClient::connect(*address));
        futures_util::future::try_join_all(opened).await.expect("it listens")
    }
}

async fn write_once(address: SocketAddr) -> Result<(), client::EtcdError> {
    EtcdClient::connect(address).await?.put(b"ready", b"yes").await
}
