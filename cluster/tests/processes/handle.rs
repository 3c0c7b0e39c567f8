//! The other end of a child: tells it what to do, and ends it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use super::peer;

/// Longer than a child waits for anything.
const LONG: Duration = Duration::from_secs(60);

/// How long it is waited for what may take a while.
const SOON: Duration = Duration::from_millis(50);

/// How often is looked whether a signal took effect.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A node that runs as a child.
pub struct Node {
    child: Child,
    stdin: ChildStdin,
    answers: mpsc::Receiver<String>,
    pub address: String,
}

impl Node {
    pub fn start(number: u64, incarnation: u64) -> Self {
        Self::start_with(number, incarnation, 1024, 128)
    }

    pub fn start_with(number: u64, incarnation: u64, frame_kib_max: u64, answers_mib_max: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "be_a_peer_if_told_so", "--nocapture"])
            .env(peer::ROLE, format!("{number} {incarnation} {frame_kib_max} {answers_mib_max}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, answers) = mpsc::channel();
        let listen = move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // The first line of a child stands behind the name of its test.
            let said =
                lines.filter_map(|line| line.split_once(peer::ANSWER).map(|(_, said)| said.to_owned()));
            said.for_each(|answer| drop(tell.send(answer)));
        };
        std::thread::Builder::new().spawn(listen).unwrap();
        let mut node = Self { child, stdin, answers, address: String::new() };
        node.address = node.answer();
        node
    }

    /// Two nodes that reach each other's processes; the first has the smaller id.
    pub fn pair() -> (Self, Self) {
        let (mut one, mut other) = (Self::start(1, 1), Self::start(2, 1));
        one.meet(&mut other, 1, 1);
        (one, other)
    }

    /// Both dial each other, and reach each other's incarnation.
    pub fn meet(&mut self, other: &mut Self, own: u64, theirs: u64) {
        let address = other.address.clone();
        self.meet_at(&address, other, own, theirs);
    }

    /// As [`meet`](Self::meet), but this node finds the other at `address`.
    pub fn meet_at(&mut self, address: &str, other: &mut Self, own: u64, theirs: u64) {
        self.tell(&format!("dial {address}"));
        other.tell(&format!("dial {}", self.address));
        for (node, incarnation) in [(&mut *self, theirs), (&mut *other, own)] {
            let answer = node.tell(&format!("reach {incarnation}"));
            assert!(answer.ends_with("ms"), "{answer}");
        }
    }

    /// Gives a command and waits for the answer.
    pub fn tell(&mut self, command: &str) -> String {
        self.begin(command);
        self.answer()
    }

    /// Gives a command, whose [`answer`](Self::answer) comes later.
    pub fn begin(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").unwrap();
        self.stdin.flush().unwrap();
    }

    /// The answer, if it is there soon.
    pub fn answer_soon(&mut self) -> Option<String> {
        self.answers.recv_timeout(SOON).ok()
    }

    pub fn answer(&mut self) -> String {
        self.answers.recv_timeout(LONG).expect("the child answers")
    }

    /// Returns when nothing of it runs any more: the signal itself takes effect a little later.
    pub fn freeze(&self) {
        self.signal("-STOP");
        while !self.is_frozen() {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn is_frozen(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread may end meanwhile.
        let mut stats =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        // The state stands behind the name, which stands in brackets.
        stats.all(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('T'))
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
