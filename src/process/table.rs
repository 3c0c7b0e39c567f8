//! The processes and supervisors of one node, for those who look after it.
//!
//! Comes in: each process and each supervisor of the node when it starts, when it ends, and what a supervisor did. Leaves: who is there,
//! and how many messages wait or were not handled, when somebody asks.
//!
//! Who is started by a process or a supervisor belongs to the node of that one; the first of them is started in a [`scope`]. A message costs
//! nothing here: what is known of a mailbox is read from it when somebody asks, and kept when its process ends.

mod counts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use playhouse_cluster::collections::Map;
use tokio::task::yield_now;

use self::counts::Past;
pub use self::counts::{ExitCounts, ProcessCounts};
use super::{ExitReason, MailboxStats, inner, supervisor::SupervisorRef};

/// How many parts share the processes, so that those who start at the same time do not wait for each other.
const PARTS: usize = 64;

tokio::task_local! {
    /// Where what is started here belongs.
    static SCOPE: Option<Arc<ProcessTable>>;
}

/// What is started in this future belongs there.
pub(super) fn scope<F: Future>(
    table: Option<Arc<ProcessTable>>,
    future: F,
) -> impl Future<Output = F::Output> {
    SCOPE.scope(table, future)
}

/// Where what is started here belongs: to the node of the process whose handler runs, if nobody said so. `None`: to no node.
pub(super) fn here() -> Option<Arc<ProcessTable>> {
    SCOPE.try_with(Clone::clone).unwrap_or_else(|_| inner::table_of_current())
}

/// A process as the table sees it.
pub(super) trait Listed: Send + Sync {
    fn stats(&self) -> MailboxStats;
}

/// A process that has not ended.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) process: Weak<dyn Listed>,
    /// The number of its parent.
    pub(super) parent: Option<u64>,
    /// The type that runs in it.
    pub(super) actor: &'static str,
}

/// A supervisor that has not ended.
#[derive(Clone)]
pub(super) struct Overseen {
    pub(super) reference: SupervisorRef,
    pub(super) parent: Option<u64>,
}

/// See the module.
pub(super) struct ProcessTable {
    parts: Vec<Mutex<Part>>,
    supervisors: Mutex<Supervisors>,
}

#[derive(Default)]
struct Part {
    processes: Map<u64, Entry>,
    /// What is left of those that ended.
    past: Past,
}

impl Part {
    /// What is left of those that ended, and those that have not.
    fn now(&self) -> (Past, Vec<(u64, Entry)>) {
        let living = self.processes.iter().map(|(number, entry)| (*number, entry.clone()));
        (self.past, living.collect())
    }
}

#[derive(Default)]
struct Supervisors {
    running: BTreeMap<u64, Overseen>,
    restarts: u64,
    gave_up: u64,
}

impl ProcessTable {
    pub(super) fn new() -> Arc<Self> {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Arc::new(Self { parts, supervisors: Mutex::default() })
    }

    /// A process is being started.
    pub(super) fn begin(&self, number: u64, entry: Entry) {
        self.part(number).lock().processes.insert(number, entry);
    }

    /// It has ended, and its mailbox is closed.
    pub(super) fn end(&self, number: u64, reason: &ExitReason, mailbox: MailboxStats) {
        let mut part = self.part(number).lock();
        if part.processes.remove(&number).is_some() {
            part.past.bury(reason, mailbox);
        }
    }

    pub(super) fn supervisor_begins(&self, number: u64, supervisor: Overseen) {
        self.supervisors.lock().running.insert(number, supervisor);
    }

    pub(super) fn supervisor_ends(&self, number: u64) {
        let ended = self.supervisors.lock().running.remove(&number);
        drop(ended);
    }

    /// A supervisor restarted children so many times.
    pub(super) fn restarted(&self, times: u64) {
        self.supervisors.lock().restarts += times;
    }

    /// A supervisor gave up.
    pub(super) fn gave_up(&self) {
        self.supervisors.lock().gave_up += 1;
    }

    /// A process that has not ended.
    pub(super) fn entry(&self, number: u64) -> Option<Entry> {
        self.part(number).lock().processes.get(&number).cloned()
    }

    /// All supervisors that run, by number, which is the order of their starts.
    pub(super) fn supervisors(&self) -> Vec<(u64, Overseen)> {
        let supervisors = self.supervisors.lock();
        supervisors.running.iter().map(|(number, overseen)| (*number, overseen.clone())).collect()
    }

    /// How many there are, what waits, and what happened since the start of the node.
    pub(super) async fn counts(&self) -> ProcessCounts {
        self.survey(|_, _, _| {}).await
    }

    /// Looks at each process and into its mailbox once, and gives way to others now and then. What it adds up to.
    pub(super) async fn survey(&self, mut see: impl FnMut(u64, Entry, MailboxStats)) -> ProcessCounts {
        let mut counts = ProcessCounts::default();
        for part in &self.parts {
            let (past, living) = part.lock().now();
            counts.add_past(&past);
            counts.processes += living.len();
            for (number, entry) in living {
                let Some(stats) = entry.process.upgrade().map(|process| process.stats()) else { continue };
                counts.add_mailbox(stats);
                see(number, entry, stats);
            }
            yield_now().await;
        }
        let supervisors = self.supervisors.lock();
        counts.supervisors = supervisors.running.len();
        (counts.restarts, counts.gave_up) = (supervisors.restarts, supervisors.gave_up);
        counts
    }

    fn part(&self, number: u64) -> &Mutex<Part> {
        &self.parts[usize::try_from(number % PARTS as u64).unwrap_or(0)]
    }
}
