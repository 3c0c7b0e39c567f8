//! `relay`: casts numbered lines to its journal, which cannot read every third of them. Shows casts that become neither an
//! effect nor a dead letter, or both, or twice the same.

use std::convert::Infallible;

use playhouse::{
    entity::{Context, Entity, NoEvents},
    protocol::{EntityId, Key},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::journal::{self, Journal, Line};

/// How many lines it has passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    passed: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Passes the next lines on.
    Pass {
        /// Its own number.
        relay: u32,
        /// How many.
        count: u32,
    },
    Look {},
}

/// The key of a relay.
pub fn relay_name(relay: u32) -> String {
    format!("relay-{relay}")
}

/// The key of the journal to which a relay casts.
pub fn journal_name(relay: u32) -> String {
    format!("of-relay-{relay}")
}

/// The `number`th line of a relay. No client is such a sender: their names count up from 1.
pub fn line(relay: u32, number: u32) -> Line {
    Line { sender: u32::MAX - relay, number }
}

/// Whether its journal can read it.
pub fn is_readable(line: Line) -> bool {
    line.number % 3 != 1
}

/// Which line a command holds that no journal can read.
pub fn unreadable(command: &[u8]) -> Option<Line> {
    let command: serde_json::Value = serde_json::from_slice(command).ok()?;
    serde_json::from_value(command.get("scribble")?.clone()).ok()
}

impl Entity for Relay {
    const KIND: &'static str = "relay";
    type Command = Command;
    type Reply = u32;
    type Event = NoEvents;
    type Error = Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<u32, Infallible> {
        let Command::Pass { relay, count } = command else { return Ok(self.passed) };
        let passed = self.passed + count;
        for line in (self.passed + 1..=passed).map(|number| line(relay, number)) {
            let to = EntityId::new(Journal::KIND, journal_name(relay)).expect("it is a name");
            if is_readable(line) {
                context.cast::<Journal>(to.key, &journal::Command::Append(line));
            } else {
                context.cast_json(to, &json!({"scribble": line}));
            }
        }
        context.save(Self { passed });
        Ok(passed)
    }
}
