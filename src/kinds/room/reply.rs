//! What a room answers, and what its subscribers receive.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{kinds::flat::flat_in_json, protocol::Json};

/// What a room answers: plain objects in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Reply {
    /// To `join`.
    Joined(Joined),
    /// To `leave`.
    Left(Left),
    /// To `publish`.
    Number(Number),
    /// To `members` and `sweep`.
    Members(Members),
    /// To `history`.
    History(History),
}
flat_in_json!(Reply { Joined, Left, Number, Members, History });

/// Somebody is a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// Who.
    pub joined: CompactString,
    /// How many there are now.
    pub members: usize,
}

/// Somebody is no member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Who.
    pub left: CompactString,
    /// How many there are now.
    pub members: usize,
}

/// An item was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Counting from 1.
    pub number: u64,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// By name.
    pub members: Vec<Present>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Present {
    /// Who.
    pub member: CompactString,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When it leaves by itself, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Oldest first.
    pub history: Vec<Said>,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Counting from 1.
    pub number: u64,
    /// By whom, if by a member.
    pub member: Option<CompactString>,
    /// Any JSON.
    pub item: Json,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What subscribers receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// An item.
    Published(Said),
    /// Somebody became a member.
    Joined(Present),
    /// Somebody is no member any more.
    Left {
        /// Who.
        member: CompactString,
        /// Since when, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// Whether its time was over; otherwise it left.
        expired: bool,
    },
}

impl Notice {
    pub(super) fn left(member: &CompactString, at_ms: u64, expired: bool) -> Self {
        Self::Left { member: member.clone(), at_ms, expired }
    }
}
