//! Erlang/OTP, as it is installed: `bench/erlang/processes.erl` on nodes that are children of this process, with a name server of
//! their own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::{PATIENCE, obedient::Obedient};
use crate::child::{Child, free_addresses};

/// What the nodes run.
const MODULE: &str = include_str!("../../erlang/processes.erl");
const COOKIE: &str = "a-cookie-of-forty-bytes-for-measurements";

const LOOK_EVERY: Duration = Duration::from_millis(5);

const LOGGER: &str = "[{handler,default,logger_std_h,#{config=>#{type=>standard_error}}}]";

/// The release of OTP and of its virtual machine, if all of it that the rows need is installed.
#[must_use]
pub fn version() -> Option<String> {
    const SAY: &str = "io:format(\"OTP ~s, erts ~s, ~s\", [erlang:system_info(otp_release), erlang:system_info(version), \
                       erlang:system_info(emu_flavor)]), halt().";
    if !has_programs() {
        return None;
    }
    let said =
        Command::new("erl").args(["-noshell", "-noinput", "-eval", SAY]).stderr(Stdio::null()).output();
    let said = said.ok().filter(|said| said.status.success())?;
    String::from_utf8(said.stdout).ok()
}

/// What comes with it and is needed, too.
fn has_programs() -> bool {
    // What they answer does not matter, only that they are there.
    let is_there = |(program, argument): (&str, &str)| {
        let mut command = Command::new(program);
        command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    [("erlc", "-help"), ("epmd", "-names")].into_iter().all(is_there)
}

/// Where the nodes of a run find their code and each other.
pub struct Erlang {
    folder: tempfile::TempDir,
    name_server: SocketAddr,
    started: AtomicUsize,
    _name_server: Child,
}

impl Erlang {
    /// Compiles the module and starts the name server.
    ///
    /// # Panics
    ///
    /// When one of them does not work.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        compile(folder.path());
        let [name_server] = free_addresses::<1>();
        let mut command = Command::new("epmd");
        command.args(["-port", &name_server.port().to_string(), "-address", "127.0.0.1"]);
        let child = Child::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(name_server).is_err() {
            assert!(Instant::now() < deadline, "the name server of Erlang listens in time");
            std::thread::sleep(LOOK_EVERY);
        }
        Self { folder, name_server, started: AtomicUsize::new(0), _name_server: child }
    }

    /// Starts a node, with as many schedulers as this machine has cores. Returns when it obeys.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn node(&self) -> ErlangNode {
        // Another name each time: the name server may hear of the end of a node later than we.
        let name = format!("node-{}@127.0.0.1", self.started.fetch_add(1, Relaxed));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("erl");
        command.arg("-noshell").args(["+S", &format!("{cores}:{cores}")]);
        command.args(["-name", &name, "-setcookie", COOKIE]);
        command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        // Standard output is for answers.
        command.args(["-kernel", "logger_level", "error", "-kernel", "logger", LOGGER]);
        command.arg("-pa").arg(self.folder.path()).args(["-s", "processes", "main"]);
        // Nothing of it outlives the run: it keeps a file in the home of its user.
        command.env("HOME", self.folder.path());
        command
            .env("ERL_EPMD_PORT", self.name_server.port().to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let mut obedient = Obedient::start(&mut command);
        assert_eq!(obedient.obey("ready"), "ready");
        ErlangNode { name, obedient }
    }
}

/// A node of Erlang. It ends with its handle.
pub struct ErlangNode {
    name: String,
    obedient: Obedient,
}

impl ErlangNode {
    /// As other nodes call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it what to do.
    pub fn obedient(&mut self) -> &mut Obedient {
        &mut self.obedient
    }

    /// Tells it to do something, and returns what it says.
    ///
    /// # Panics
    ///
    /// When it could not.
    pub fn obey(&mut self, line: &str) -> String {
        self.obedient.obey(line)
    }
}

fn compile(folder: &Path) {
    let source: PathBuf = folder.join("processes.erl");
    std::fs::write(&source, MODULE).expect("the disk works");
    let compiled = Command::new("erlc").arg("-o").arg(folder).arg(&source).status();
    assert!(compiled.is_ok_and(|status| status.success()), "the module compiles");
}
