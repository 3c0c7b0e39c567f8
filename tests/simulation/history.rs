//! What clients asked and what they were told, in the order in which it happened.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;

use super::journal::Line;

/// What a client wants of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Of a counter.
    Add(i64),
    /// Of a counter.
    Get,
    /// Of a document: only if it has this revision.
    Put { value: i64, if_revision: u64 },
    /// Of a document.
    Read,
}

impl Input {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Get | Self::Read)
    }
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Value(i64),
    Found { revision: u64, value: i64 },
    Written { revision: u64 },
    Mismatch,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Told(Output),
    /// Certainly not: each attempt was refused before it was appended.
    Never,
    /// It may have happened, or may happen yet.
    Unknown,
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    pub client: usize,
    pub entity: String,
    pub input: Input,
    pub began: u64,
    pub ended: u64,
    pub outcome: Outcome,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, entity, input, began, ended, outcome } = self;
        write!(f, "{began:>5}..{ended:<5} client {client} {entity} {input:?} -> {outcome:?}")
    }
}

/// A message of a sender that does not wait for the one before.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub line: Line,
    /// `None`: unknown. `Some(false)`: certainly never.
    pub happened: Option<bool>,
}

/// A transfer that was ordered.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub name: String,
    pub from: usize,
    pub to: usize,
    pub amount: u64,
    pub happened: Option<bool>,
}

/// Everything that was recorded in a run. A cheap handle.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Record>>);

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub clock: u64,
    pub operations: Vec<Operation>,
    pub sent: Vec<Sent>,
    pub ordered: Vec<Ordered>,
    /// How many lines each relay said that it has passed on.
    pub passed: BTreeMap<u32, u32>,
    /// Answers that no client should ever get.
    pub absurd: Vec<String>,
}

impl History {
    /// The next moment. No two events share one.
    pub fn tick(&self) -> u64 {
        let mut record = self.0.lock();
        record.clock += 1;
        record.clock
    }

    pub fn add(&self, operation: Operation) {
        self.0.lock().operations.push(operation);
    }

    pub fn sent(&self, sent: Sent) {
        self.0.lock().sent.push(sent);
    }

    pub fn ordered(&self, ordered: Ordered) {
        self.0.lock().ordered.push(ordered);
    }

    pub fn passed(&self, relay: u32, passed: u32) {
        let mut record = self.0.lock();
        let most = record.passed.entry(relay).or_default();
        *most = passed.max(*most);
    }

    pub fn absurd(&self, what: String) {
        self.0.lock().absurd.push(what);
    }

    /// What is recorded up to now.
    pub fn record(&self) -> Record {
        self.0.lock().clone()
    }
}

impl Record {
    /// How many clients heard that what they wanted is done.
    pub fn acknowledged(&self) -> usize {
        let told = self.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Told(_)));
        let sent = self.sent.iter().filter(|sent| sent.happened == Some(true));
        let ordered = self.ordered.iter().filter(|ordered| ordered.happened == Some(true));
        told.count() + sent.count() + ordered.count()
    }
}
