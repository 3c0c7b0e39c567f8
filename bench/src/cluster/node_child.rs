//! A node in a process of its own, which can be killed, told to leave, and started again on the same volume.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use playhouse_cluster::consensus::RaftId;
use tokio::time::Instant;

use super::{CHILD, LOOK_EVERY, Layout, PATIENCE};
use crate::{
    child::{Child, own_program},
    node::small_runtime,
    ops::Ops,
};

/// A node in a process of its own.
pub struct NodeChild {
    name: String,
    flags: Vec<String>,
    volume: PathBuf,
    log: PathBuf,
    address_file: PathBuf,
    gateway: SocketAddr,
    ops: Ops,
    child: Child,
    raft_id: Option<RaftId>,
}

impl NodeChild {
    pub(super) fn start(layout: &Layout, at: usize) -> Self {
        let file = |what: &str| layout.folder().join(format!("{}.{what}", Layout::name(at)));
        let (flags, log, address_file) = (layout.flags(at), file("log"), file("address"));
        let child = spawn(&flags, &log, &address_file);
        let (gateway, ops) = (layout.gateway(at), Ops::at(layout.ops(at)));
        let name = Layout::name(at);
        Self { name, flags, volume: layout.volume(at), log, address_file, gateway, ops, child, raft_id: None }
    }

    /// Its process.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// As the cluster calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id in its groups.
    ///
    /// # Panics
    ///
    /// Before it was ready.
    #[must_use]
    pub fn raft_id(&self) -> RaftId {
        self.raft_id.expect("it was ready")
    }

    /// Where clients connect.
    #[must_use]
    pub fn gateway(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// Where its gateway listens.
    #[must_use]
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway
    }

    /// Its second port: probes, metrics, and what operators ask.
    #[must_use]
    pub fn ops(&self) -> Ops {
        self.ops
    }

    /// As a loss of power for the process.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Asks it to leave: it hands its leaderships over and ends.
    pub fn terminate(&self) {
        self.child.terminate();
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait();
    }

    /// Starts it again after it ended. Returns when it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub fn start_again(&mut self) {
        fs::remove_file(&self.address_file).expect("it was ready before");
        self.child = spawn(&self.flags, &self.log, &self.address_file);
        self.wait_until_ready();
    }

    pub(super) fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.address_file.exists() || !small_runtime().block_on(self.ops.is_ready()) {
            let ended = self.child.process().try_wait().ok().flatten();
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "a node ended before it was ready: {}", log());
            assert!(Instant::now() < deadline, "a node is ready in time: {}", log());
            std::thread::sleep(LOOK_EVERY);
        }
        self.raft_id = Some(self.read_raft_id());
    }

    fn read_raft_id(&self) -> RaftId {
        let text =
            fs::read_to_string(self.volume.join("identity")).expect("a node that is ready has an identity");
        let id = text.lines().find_map(|line| line.strip_prefix("raft_id = "));
        RaftId(u64::from_str_radix(id.expect("the file says it"), 16).expect("it is hexadecimal"))
    }
}

fn spawn(flags: &[String], log: &PathBuf, address_file: &PathBuf) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(log).expect("the disk works");
    let mut command = Command::new(own_program());
    command.arg(CHILD).arg(address_file).args(flags);
    // It leaves when nobody holds the other end of its input any more.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    Child::start(&mut command)
}
