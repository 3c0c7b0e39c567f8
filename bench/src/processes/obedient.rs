//! A child that is told what to do line by line, and answers line by line.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use playhouse_cluster::environment::Environment;

use crate::child::Child;

/// A child that obeys. It ends with its handle, and when this process is gone, because then its input ends.
pub struct Obedient {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Obedient {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the operating system refuses.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = Child::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = child.process().stdin.take().expect("it is a pipe");
        let output = BufReader::new(child.process().stdout.take().expect("it is a pipe"));
        Self { child, input, output }
    }

    /// Its process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Tells it to do something, and returns what it says.
    ///
    /// # Panics
    ///
    /// When it says that it could not, or ends: a run with an error is no measurement.
    pub fn obey(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the child listens");
        self.hear(line)
    }

    /// The next thing that it says.
    ///
    /// # Panics
    ///
    /// As [`obey`](Self::obey).
    pub fn hear(&mut self, why: &str) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it speaks UTF-8");
        assert!(!answer.is_empty(), "{why}: the child ended");
        assert!(!answer.starts_with("error"), "{why}: {answer}");
        answer.trim().to_owned()
    }

    /// As [`obey`](Self::obey): one number.
    ///
    /// # Panics
    ///
    /// As [`obey`](Self::obey), and when it is none.
    pub fn number(&mut self, line: &str) -> f64 {
        self.obey(line).parse().expect("it says a number")
    }
}

/// Says something to the parent.
///
/// # Panics
///
/// When nobody listens.
#[allow(clippy::print_stdout)] // The parent reads it.
pub fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("the parent reads it");
}

/// Ends this process when its parent is gone.
///
/// # Panics
///
/// When the operating system gives no thread.
pub fn end_with_parent(environment: &Environment) {
    let leave = environment.thread("parent", || {
        // Any end of it, an error too, means that the parent is gone.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    drop(leave.expect("the operating system gives a thread"));
}
