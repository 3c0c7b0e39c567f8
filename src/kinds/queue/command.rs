//! What a queue can be asked.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::protocol::Json;

/// What a queue can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Puts one item at the end.
    Push {
        /// Any JSON.
        item: Json,
        /// How long nobody can lease it, 0 to 7 days.
        #[serde(default)]
        delay_ms: u64,
    },
    /// Puts 1 to 1,000 items at the end: all of them or none.
    PushMany {
        /// Any JSON.
        items: Vec<Json>,
        /// How long nobody can lease them, 0 to 7 days.
        #[serde(default)]
        delay_ms: u64,
    },
    /// Takes the first visible items; nobody else sees them until the lease lapses.
    Lease {
        /// At most so many, 1 to 100; 1 if not given.
        #[serde(default = "one")]
        count: u32,
        /// How long the lease holds, 1 ms to 7 days; as configured if not given.
        visibility_ms: Option<u64>,
        /// Who takes them, for people who look; at most 64 bytes.
        consumer: Option<CompactString>,
    },
    /// The item is done: it is removed.
    Ack {
        /// From `lease`.
        token: u64,
    },
    /// The item failed: it is visible again at its old place, or a dead letter if this was the last attempt.
    Nack {
        /// From `lease`.
        token: u64,
        /// How long nobody can lease it, 0 to 7 days.
        #[serde(default)]
        delay_ms: u64,
    },
    /// The lease holds until `visibility_ms` from now.
    Extend {
        /// From `lease`.
        token: u64,
        /// 1 ms to 7 days; as configured if not given.
        visibility_ms: Option<u64>,
    },
    /// Shows the first items that are not leased.
    Peek {
        /// At most so many, 1 to 1,000; 10 if not given.
        #[serde(default = "ten")]
        limit: u32,
    },
    /// Counts.
    Stats {},
    /// Shows the first dead letters.
    DeadLetters {
        /// At most so many, 1 to 1,000; 10 if not given.
        #[serde(default = "ten")]
        limit: u32,
    },
    /// Gives the first dead letters new attempts, at their old places.
    Redrive {
        /// At most so many, 1 to 1,000; 1,000 if not given.
        #[serde(default = "thousand")]
        limit: u32,
    },
    /// Removes items.
    Purge {
        /// Which; all if not given.
        #[serde(default)]
        what: What,
    },
    /// Changes how it treats its items from now on.
    Configure {
        /// How often an item is leased before it becomes a dead letter, 1 to 1,000.
        max_attempts: Option<u32>,
        /// How long a lease holds if the command does not say, 1 ms to 7 days.
        visibility_ms: Option<u64>,
    },
}

/// Which items to purge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Those that are not leased.
    Waiting,
    /// The dead letters.
    Dead,
    /// All, also those that are leased: their tokens are unknown from then on.
    #[default]
    All,
}

fn one() -> u32 {
    1
}

fn ten() -> u32 {
    10
}

fn thousand() -> u32 {
    1_000
}
