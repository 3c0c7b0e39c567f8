//! Which process, in the whole cluster.
//!
//! Comes in: the number that `ractor` gave, and the node and start of it when the process lives elsewhere. Leaves: [`ProcessId`],
//! which stays right when it travels in a message.

use std::fmt;

use playhouse_cluster::{consensus::RaftId, identity::Incarnation};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::distribution::travel;

/// One start of a node. What lived in an earlier start is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Home {
    /// Which node: its volume.
    pub node: RaftId,
    /// Which start of it.
    pub incarnation: Incarnation,
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.node.0, self.incarnation.0)
    }
}

/// Names a process.
///
/// A process of this node is named by its number alone, and only this start of this node understands that. In a message to another node
/// an id becomes what names the same process there: one of this node gets its home on the way, and one that comes home loses it.
///
/// What is kept outside of messages, such as in the state of an entity or in a command to one, needs the name of the process in the whole
/// cluster, which no other ever has: [`Distribution::id_of`](super::Distribution::id_of).
/// [`Distribution::process`](super::Distribution::process) makes a reference of it on every node. The id of a process of this node
/// that was not named so is refused by a serializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    number: u64,
    home: Option<Home>,
}

impl ProcessId {
    /// Of this node.
    pub(super) fn here(number: u64) -> Self {
        Self { number, home: None }
    }

    /// Of a certain start of a node.
    pub(super) fn there(home: Home, number: u64) -> Self {
        Self { number, home: Some(home) }
    }

    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// Where it lives; `None`: on this node.
    #[must_use]
    pub fn home(self) -> Option<Home> {
        self.home
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.home {
            None => self.number.fmt(f),
            Some(home) => write!(f, "{}@{home}", self.number),
        }
    }
}

const NOT_KEPT: &str = "the id of a process of this node means nothing outside of a message; `Distribution::id_of` has one that does";

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // On another node, or after the next start of this one, a number alone would name some other process.
        let home = self.home.or_else(travel::home).ok_or(NOT_KEPT).map_err(serde::ser::Error::custom)?;
        (Some(home), self.number).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (home, number) = <(Option<Home>, u64)>::deserialize(deserializer)?;
        Ok(Self { number, home: home.filter(|home| travel::home() != Some(*home)) })
    }
}
