//! One node as a process of its own.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use playhouse_client::{Address, Config, Ops};
use playhouse_cluster::environment::Environment;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child as Process, ChildStderr, ChildStdin, Command},
    task::JoinHandle,
};

use super::{Failure, plan::Plan};
use crate::causes::chain;

/// A longer line of a log is broken.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// How often is looked whether the node is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a probe may take.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// A node as a process.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) plan: Plan,
    pub(super) pid: u32,
    /// Known once the node is ready.
    pub(super) addresses: Option<Addresses>,
    process: Process,
    /// The node leaves when this is closed.
    hold: Option<ChildStdin>,
    log: Option<JoinHandle<()>>,
}

/// Where a node listens, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Addresses {
    pub(super) gateway: String,
    pub(super) ops: String,
}

impl Child {
    /// Starts the node. Each line that it logs comes out on standard error, after `prefix`.
    pub(super) fn start(plan: Plan, prefix: String, environment: &Environment) -> Result<Self, Failure> {
        let failed = |error| Failure::failed(&format!("could not start {}", plan.name), &error);
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["dev", "--nodes", "1", "--leave-with-parent", "--config"]).arg(&plan.config);
        command.arg("--address-file").arg(&plan.address_file);
        // Its file says everything.
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("PLAYHOUSE_")) {
            command.env_remove(name);
        }
        // Ctrl-C is for us; the node leaves when we say so.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(failed)?;
        let pid = process.id().unwrap_or_default();
        let hold = process.stdin.take();
        let log = process.stderr.take().map(|log| environment.spawn(pass_on(log, prefix)));
        Ok(Self { plan, pid, addresses: None, process, hold, log })
    }

    /// Returns when the node is ready to be sent requests.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if let Some(status) = self.process.try_wait().ok().flatten() {
                let what = format!("{} ended before it was ready: {status}", self.plan.name);
                return Err(Failure::new(super::Exit::Failed, what)
                    .state("the other nodes were stopped; what was acknowledged is on the volumes")
                    .next("what it logged is above"));
            }
            let text = std::fs::read(&self.plan.address_file).unwrap_or_default();
            let Ok(addresses) = serde_json::from_slice::<Addresses>(&text) else { continue };
            let is_ready = is_ready(&addresses.ops).await?;
            self.addresses = Some(addresses);
            if is_ready {
                return Ok(());
            }
        }
    }

    /// Returns when the node has ended, and all that it logged came out. May be called again.
    pub(super) async fn ended(&mut self) -> String {
        let how = match self.process.wait().await {
            Ok(status) => describe(status),
            Err(error) => chain(&error),
        };
        if let Some(log) = self.log.take() {
            drop(log.await);
        }
        how
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    pub(super) fn ask_to_leave(&mut self) {
        self.hold = None;
    }

    pub(super) async fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill().await);
    }
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => "in order".to_owned(),
        Some(code) => format!("with exit code {code}"),
        // Such as `signal: 9 (SIGKILL)`.
        None => format!("by {status}"),
    }
}

async fn is_ready(ops: &str) -> Result<bool, Failure> {
    let address: Address = ops.parse().map_err(|error| Failure::failed("a node has no address", &error))?;
    let mut config = Config::for_addresses(vec![address.clone()]);
    config.timeout = PROBE_WITHIN;
    Ok(Ops::new(address, config)?.probe("readyz").await.is_ok_and(|probe| probe.ok))
}

/// Whole lines, so that those of several nodes do not mix.
async fn pass_on(log: ChildStderr, prefix: String) {
    use std::io::Write;
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        line.extend_from_slice(prefix.as_bytes());
        match (&mut log).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        // There is nobody left to tell when standard error is closed.
        let _ = std::io::stderr().write_all(&line);
    }
}
