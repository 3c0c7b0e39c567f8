//! Processes that the bench starts, and ends by their id.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child as Process, Command, Stdio},
};

use playhouse_cluster::environment::Environment;
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};

/// A process that ends with its handle at the latest.
#[derive(Debug)]
pub struct Child {
    process: Process,
}

impl Child {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the operating system refuses.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self { process: command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    /// Starts it as the first of a process group, to which all belong that it starts itself. It may [leave with us](leave_with_parent).
    ///
    /// # Panics
    ///
    /// When the operating system refuses.
    #[must_use]
    pub fn start_group(command: &mut Command) -> Self {
        Self::start(command.process_group(0).stdin(Stdio::piped()))
    }

    /// Starts this program with a task that [says where it listens](say_address).
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn start_listening(task: &str) -> (Self, SocketAddr) {
        let mut command = Command::new(own_program());
        command.arg(task).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Self::start(&mut command);
        let mut address = String::new();
        let output = child.process().stdout.take().expect("it is a pipe");
        BufReader::new(output).read_line(&mut address).expect("it says where it listens");
        (child, address.trim().parse().expect("an address"))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// As a loss of power for the process: nobody is told. It is gone when this returns.
    pub fn kill(&mut self) {
        // An error means that it ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// As [`kill`](Self::kill), with all of [its group](Self::start_group), also when it ended already.
    pub fn kill_group(&mut self) {
        kill_group(self.id());
        self.kill();
    }

    /// Asks it to leave.
    ///
    /// # Panics
    ///
    /// When there is no `kill`.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process runs and may be told");
    }

    /// Waits until it has ended in order.
    ///
    /// # Panics
    ///
    /// When it fails, or is nobody's child.
    pub fn wait(&mut self) {
        let ended = self.process.wait().expect("it is ours");
        assert!(ended.success(), "a node that is told to leave fails: {ended}");
    }

    /// How long it has run on any processor, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        crate::cpu_seconds_of(&self.id().to_string())
    }

    /// What it takes in memory, as the kernel counts it.
    #[must_use]
    pub fn resident_bytes(&self) -> f64 {
        crate::resident_bytes_of(&self.id().to_string())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends this process, which somebody started, when nobody holds the other end of its input any more.
///
/// # Panics
///
/// When the operating system gives no thread.
pub fn leave_with_parent(environment: &Environment) {
    behind_parent(environment, || std::process::exit(0));
}

/// As [`leave_with_parent`], with all that this process started: it is the first of [its group](Child::start_group).
///
/// # Panics
///
/// When the operating system gives no thread.
pub fn leave_with_parent_as_group(environment: &Environment) {
    behind_parent(environment, || {
        kill_group(std::process::id());
        // Who started it did not make it the first of a group.
        std::process::exit(1);
    });
}

fn behind_parent(environment: &Environment, leave: impl FnOnce() + Send + 'static) {
    let thread = environment.thread("bench-stdin", || {
        // Any end of it, an error too, means that the parent is gone.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        leave();
    });
    drop(thread.expect("the operating system gives a thread"));
}

/// A group in which nobody is left is no loss.
fn kill_group(first: u32) {
    let first = i32::try_from(first).ok().and_then(Pid::from_raw).expect("the id of a process");
    match kill_process_group(first, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => panic!("process group {first:?} cannot be ended: {error}"),
    }
}

/// This program, for a child with another task.
///
/// # Panics
///
/// When this program is no file.
#[must_use]
pub fn own_program() -> PathBuf {
    std::env::current_exe().expect("this program is a file")
}

/// In the child: tells the parent where it listens, and ends this process when the parent is gone.
///
/// # Panics
///
/// When the operating system refuses a thread.
#[allow(clippy::print_stdout)] // The parent reads it.
pub fn say_address(address: SocketAddr, environment: &Environment) {
    println!("{address}");
    std::io::stdout().flush().expect("the parent reads it");
    leave_with_parent(environment);
}

/// Addresses on this machine that nobody uses now. All are held until all are known.
///
/// # Panics
///
/// When the system has none.
#[must_use]
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}
