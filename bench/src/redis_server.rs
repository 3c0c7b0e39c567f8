//! Redis, as one process on loopback with a folder and a port of its own, asked by clients that each have a connection, or share some.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::time::Instant;

use crate::child::{Child, free_addresses};

/// How long it may take to answer; a stalled disk is no error of a client.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Everything on disk, before it answers.
    AppendFsyncAlways,
    /// Everything in memory only.
    Nothing,
}

/// A server. It ends with its handle.
pub struct Redis {
    address: SocketAddr,
    _child: Child,
    // Last: the process ends before its volume.
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts it. Returns when it answers.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start(keeps: Keeps) -> Self {
        let (folder, [address]) = (tempfile::tempdir().expect("a temporary folder"), free_addresses::<1>());
        let append_only = if keeps == Keeps::AppendFsyncAlways { "yes" } else { "no" };
        let mut command = Command::new("redis-server");
        command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.arg("--dir").arg(folder.path()).args(["--save", "", "--daemonize", "no"]);
        command.args(["--appendonly", append_only, "--appendfsync", "always"]);
        let child = Child::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let redis = Self { address, _child: child, _folder: folder };
        redis.wait_until_ready().await;
        redis
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.open().await {
            assert!(Instant::now() < deadline, "Redis answers in time: {error}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn open(&self) -> RedisResult<RedisClient> {
        let client = Client::open(format!("redis://{}/", self.address))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut client = RedisClient { connection };
        client.ping().await.map(|()| client)
    }

    /// So many connections.
    ///
    /// # Panics
    ///
    /// When one cannot be opened.
    pub async fn connect(&self, connections: usize) -> Vec<RedisClient> {
        let opened = (0..connections).map(|_| self.open());
        futures_util::future::try_join_all(opened).await.expect("it listens")
    }
}

/// A connection. Clones share it: what they ask at once is sent without waiting for answers.
#[derive(Clone)]
pub struct RedisClient {
    connection: MultiplexedConnection,
}

impl RedisClient {
    async fn ping(&mut self) -> RedisResult<()> {
        redis::cmd("PING").query_async(&mut self.connection).await
    }

    /// Adds one to a counter. Returns how much it is then.
    ///
    /// # Panics
    ///
    /// When it is refused: a run with an error is no measurement.
    pub async fn increment(&mut self, key: &str) -> u64 {
        let asked = redis::cmd("INCR").arg(key).query_async(&mut self.connection).await;
        asked.expect("a server with memory left counts")
    }
}
