//! A node as a process of its own: started, killed, told to leave, and started again on the same ports and volume.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use playhouse_client::{Client, Config};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::{interval, timeout},
};

/// How long a start, a stop or a check may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a test looks whether what it waits for is there.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What makes the arguments of `playhouse` a command.
pub type Program = fn(&[OsString]) -> Command;

/// The binary that ships.
pub fn playhouse(arguments: &[OsString]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    command.args(arguments);
    command
}

/// A node that can be killed and started again.
pub struct NodeProcess {
    program: Program,
    directory: PathBuf,
    gateway: SocketAddr,
    ops: SocketAddr,
    settings: Vec<String>,
    process: Child,
}

impl NodeProcess {
    /// Starts `program` with its files in `directory`; returns when it is ready.
    pub async fn start(program: Program, directory: &Path, settings: &[&str]) -> Self {
        let [gateway, ops] = free_addresses();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let command = command(program, directory, [gateway, ops], &settings);
        let process = spawn(command, Stdio::inherit());
        let mut node = Self { program, directory: directory.to_owned(), gateway, ops, settings, process };
        node.wait_until_ready().await;
        node
    }

    /// As a power cut for the process: nothing is flushed, nobody is told.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it again after it ended.
    pub async fn start_again(&mut self) {
        std::fs::remove_file(address_file(&self.directory)).unwrap();
        let command = command(self.program, &self.directory, [self.gateway, self.ops], &self.settings);
        self.process = spawn(command, Stdio::inherit());
        self.wait_until_ready().await;
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.process.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Ends its standard input, as it ends with whoever started it.
    pub fn end_input(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("it ends in time").unwrap()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Where clients connect.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// A client that tries as long as the test is patient.
    pub fn client(&self) -> Client {
        let mut config = Config::new([self.url()]).unwrap();
        config.timeout = PATIENCE;
        Client::new(config).unwrap()
    }

    /// Status and body of `path` on the ops port.
    pub async fn ops(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        http(self.ops, &request).await.expect("the ops port answers")
    }

    /// Returns what `/readyz` says, once it answers `status`.
    pub async fn readiness(&self, status: u16) -> String {
        let mut look = interval(LOOK_EVERY);
        let wanted = async {
            loop {
                look.tick().await;
                let (found, body) = self.ops("/readyz").await;
                if found == status {
                    return body;
                }
            }
        };
        timeout(PATIENCE, wanted).await.expect("the readiness changes in time")
    }

    /// Returns once `/metrics` has this line.
    pub async fn until_counted(&self, line: &str) {
        let mut look = interval(LOOK_EVERY);
        let counted = async {
            while !self.ops("/metrics").await.1.lines().any(|found| found == line) {
                look.tick().await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{line} is counted in time"));
    }

    async fn wait_until_ready(&mut self) {
        let mut look = interval(LOOK_EVERY);
        let ready = async {
            loop {
                look.tick().await;
                if let Some(status) = self.process.try_wait().unwrap() {
                    panic!("the node ended with {status} before it was ready; its log is above");
                }
                let text = std::fs::read(address_file(&self.directory)).unwrap_or_default();
                if let Ok(address) = serde_json::from_slice::<Value>(&text) {
                    return address;
                }
            }
        };
        let address = timeout(PATIENCE, ready).await.expect("the node is ready in time");
        assert_eq!(address["gateway"], self.url());
    }
}

/// What a node says that must not start on the volume of `directory`: its exit code, and its standard error.
pub async fn refusal(program: Program, directory: &Path, settings: &[&str]) -> (i32, String) {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let command = command(program, directory, free_addresses(), &settings);
    let output = timeout(PATIENCE, spawn(command, Stdio::piped()).wait_with_output());
    let output = output.await.expect("it ends in time").unwrap();
    let code = output.status.code().expect("it ends by itself");
    (code, String::from_utf8(output.stderr).unwrap())
}

/// Sends `request` and reads to the end of the connection. `None`: no whole answer came.
pub async fn http(address: SocketAddr, request: &str) -> Option<(u16, String)> {
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.ok()?;
    answer(&mut stream).await
}

/// Reads an answer to the end of the connection.
pub async fn answer(stream: &mut tokio::net::TcpStream) -> Option<(u16, String)> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn address_file(directory: &Path) -> PathBuf {
    directory.join("address.json")
}

fn command(
    program: Program,
    directory: &Path,
    [gateway, ops]: [SocketAddr; 2],
    settings: &Vec<String>,
) -> Command {
    let mut arguments: Vec<OsString> = vec!["dev".into(), "--data-dir".into(), directory.join("data").into()];
    arguments.extend(["--nodes".into(), "1".into()]);
    arguments.extend(["--listen".into(), gateway.to_string().into()]);
    arguments.extend(["--ops-listen".into(), ops.to_string().into()]);
    arguments.extend(["--address-file".into(), address_file(directory).into()]);
    for setting in settings {
        arguments.extend(["--set".into(), setting.into()]);
    }
    program(&arguments)
}

fn spawn(mut command: Command, stderr: Stdio) -> Child {
    forget_environment(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true).spawn().unwrap()
}

/// The restarted node must have the ports of the first one, so they cannot be chosen by it. Both are held until both
/// are known; a client that connects elsewhere meanwhile is given others by the system.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// Nothing of the shell that runs the tests may configure what they start.
pub fn forget_environment(command: &mut Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("PLAYHOUSE_")) {
        command.env_remove(name);
    }
}
