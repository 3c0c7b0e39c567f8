//! What all nodes were told about the beginning.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// Names on the list.
pub const LISTED_MAX: usize = 15;

/// Who may found a cluster, and with whom. The same for all nodes, and fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    initiator: String,
    members: BTreeSet<String>,
}

/// Why the rules make no sense. Correct the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The initiator is not on the list.
    #[error(
        "the initiator {initiator:?} is not one of the bootstrap members; add it to the list on all nodes"
    )]
    NotListed {
        /// Its name.
        initiator: String,
    },
    /// There are too many names.
    #[error(
        "{found} bootstrap members are listed, {LISTED_MAX} are allowed; list three or five, all others just join"
    )]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl Rules {
    /// The names that begin a cluster, and the one of them that may found it.
    ///
    /// # Errors
    ///
    /// When the initiator is not on the list, or the list is too long.
    pub fn new(initiator: String, members: BTreeSet<String>) -> Result<Self, RulesError> {
        if !members.contains(&initiator) {
            return Err(RulesError::NotListed { initiator });
        }
        match members.len() {
            0..=LISTED_MAX => Ok(Self { initiator, members }),
            found => Err(RulesError::TooMany { found }),
        }
    }

    /// Who may found a cluster.
    #[must_use]
    pub fn initiator(&self) -> &str {
        &self.initiator
    }

    /// Everybody on the list.
    #[must_use]
    pub fn members(&self) -> &BTreeSet<String> {
        &self.members
    }

    /// Everybody on the list but the initiator.
    pub fn others(&self) -> impl Iterator<Item = &String> {
        self.members.iter().filter(|name| **name != self.initiator)
    }

    /// Whether the name is on the list, and not the initiator's.
    #[must_use]
    pub fn is_candidate(&self, name: &str) -> bool {
        name != self.initiator && self.members.contains(name)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "initiator {}, members", self.initiator)?;
        self.members.iter().try_for_each(|name| write!(formatter, " {name}"))
    }
}
