//! What a queue answers.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::{kinds::flat::flat_in_json, protocol::Json};

/// What a queue answers: plain objects in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Reply {
    /// To `push` and `push_many`.
    Pushed(Pushed),
    /// To `lease`.
    Leased(Leased),
    /// To `ack`.
    Acked(Acked),
    /// To `nack`.
    Nacked(Nacked),
    /// To `extend`.
    Extended(Extended),
    /// To `peek`.
    Peeked(Peeked),
    /// To `stats`.
    Stats(Stats),
    /// To `dead_letters`.
    DeadLetters(DeadLetters),
    /// To `redrive`.
    Redriven(Redriven),
    /// To `purge`.
    Purged(Purged),
    /// To `configure`.
    Settings(Settings),
}
flat_in_json!(Reply {
    Pushed,
    Leased,
    Acked,
    Nacked,
    Extended,
    Peeked,
    Stats,
    DeadLetters,
    Redriven,
    Purged,
    Settings,
});

/// Items were put at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pushed {
    /// Number of the first.
    pub first_id: u64,
    /// Number of the last; those between belong to the same command.
    pub last_id: u64,
}

/// Items were leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leased {
    /// Oldest first; none if none is visible.
    pub leased: Vec<LeasedItem>,
}

/// An item in the hands of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasedItem {
    /// Its number.
    pub id: u64,
    /// As it was pushed.
    pub item: Json,
    /// For `ack`, `nack` and `extend`.
    pub token: u64,
    /// How often it was leased, this time included.
    pub attempts: u32,
    /// When the lease lapses, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

/// An item is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acked {
    /// Its number.
    pub acked: u64,
}

/// An item failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nacked {
    /// Its number.
    pub nacked: u64,
    /// Whether it became a dead letter.
    pub dead: bool,
}

/// A lease holds longer, or shorter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extended {
    /// Number of the item.
    pub extended: u64,
    /// When the lease lapses, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

/// Items that are not leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peeked {
    /// Oldest first.
    pub waiting: Vec<WaitingItem>,
}

/// An item that is not leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingItem {
    /// Its number.
    pub id: u64,
    /// As it was pushed.
    pub item: Json,
    /// How often it was leased.
    pub attempts: u32,
    /// When it can be leased, in milliseconds since the Unix epoch; often in the past.
    pub visible_at_ms: u64,
}

/// Counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Items that can be leased.
    pub ready: usize,
    /// Items that can be leased later.
    pub delayed: usize,
    /// Items in the hands of consumers.
    pub leased: usize,
    /// Dead letters.
    pub dead: usize,
    /// What all of them cost.
    pub bytes: usize,
    /// When the next item may become ready without a command, in milliseconds since the Unix epoch.
    pub next_visible_at_ms: Option<u64>,
}

/// Items that failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// Oldest item first.
    pub dead_letters: Vec<DeadLetter>,
}

/// An item that failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// Its number.
    pub id: u64,
    /// As it was pushed.
    pub item: Json,
    /// How often it was leased.
    pub attempts: u32,
    /// When its last lease failed, in milliseconds since the Unix epoch.
    pub died_at_ms: u64,
}

/// Dead letters are waiting again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redriven {
    /// How many.
    pub redriven: usize,
}

/// Items were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purged {
    /// How many.
    pub purged: usize,
}
