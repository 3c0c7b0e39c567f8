//! Numbers about the processes of a node.

use serde::{Deserialize, Serialize};

use crate::process::{ExitReason, MailboxStats};

/// The processes of a node in numbers: how many there are, what waits for them, and what happened since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCounts {
    /// Processes that run.
    pub processes: usize,
    /// Supervisors that run.
    pub supervisors: usize,
    /// Messages that wait in the mailboxes of all processes.
    pub messages: usize,
    /// What they weigh.
    pub bytes: usize,
    /// The most messages that wait in one mailbox.
    pub messages_deepest: usize,
    /// Messages that were refused because a mailbox had no room, or because they were too heavy.
    pub refused: u64,
    /// Messages that made room for newer ones.
    pub dropped: u64,
    /// Messages that were still waiting when their process ended.
    pub dead_letters: u64,
    /// Processes that ended, by reason.
    pub exits: ExitCounts,
    /// How often supervisors restarted a child, with those that belong to it.
    pub restarts: u64,
    /// How many supervisors gave up: too many restarts.
    pub gave_up: u64,
}

/// How many processes ended, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCounts {
    /// They were done.
    pub normal: u64,
    /// They were asked to stop.
    pub shutdown: u64,
    /// They were killed.
    pub killed: u64,
    /// A handler panicked or returned an error.
    pub crashed: u64,
    /// They were linked with a process that does not exist.
    pub noproc: u64,
    /// They were linked with a process of a node that could not be reached.
    pub noconnection: u64,
}

impl ExitCounts {
    /// Each reason, and how many processes ended for it.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        let Self { normal, shutdown, killed, crashed, noproc, noconnection } = *self;
        [
            ("normal", normal),
            ("shutdown", shutdown),
            ("killed", killed),
            ("crashed", crashed),
            ("noproc", noproc),
            ("noconnection", noconnection),
        ]
    }

    fn count(&mut self, reason: &ExitReason) {
        *match reason {
            ExitReason::Normal => &mut self.normal,
            ExitReason::Shutdown | ExitReason::ShutdownWith(_) => &mut self.shutdown,
            ExitReason::Killed => &mut self.killed,
            ExitReason::Crashed(_) => &mut self.crashed,
            ExitReason::NoProc => &mut self.noproc,
            ExitReason::NoConnection => &mut self.noconnection,
        } += 1;
    }

    fn add(&mut self, other: &Self) {
        self.normal += other.normal;
        self.shutdown += other.shutdown;
        self.killed += other.killed;
        self.crashed += other.crashed;
        self.noproc += other.noproc;
        self.noconnection += other.noconnection;
    }
}

/// What is left of processes that ended.
#[derive(Clone, Copy, Default)]
pub(super) struct Past {
    refused: u64,
    dropped: u64,
    dead_letters: u64,
    exits: ExitCounts,
}

impl Past {
    /// A process ended.
    pub(super) fn bury(&mut self, reason: &ExitReason, mailbox: MailboxStats) {
        self.refused += mailbox.refused;
        self.dropped += mailbox.dropped;
        self.dead_letters += mailbox.dead_letters;
        self.exits.count(reason);
    }
}

impl ProcessCounts {
    pub(super) fn add_past(&mut self, past: &Past) {
        self.refused += past.refused;
        self.dropped += past.dropped;
        self.dead_letters += past.dead_letters;
        self.exits.add(&past.exits);
    }

    pub(super) fn add_mailbox(&mut self, mailbox: MailboxStats) {
        self.messages += mailbox.messages;
        self.bytes += mailbox.bytes;
        self.messages_deepest = self.messages_deepest.max(mailbox.messages);
        self.refused += mailbox.refused;
        self.dropped += mailbox.dropped;
        // Those of a process that is just ending are counted when it is buried.
    }
}
