//! A room: who is there, and what was said. It keeps events, and publishes each of them.

use std::collections::{BTreeSet, VecDeque};

use playhouse::{
    entity::{Context, Entity},
    protocol::Key,
};
use serde::{Deserialize, Serialize};

use super::person::{self, Person};

/// Most people in one room.
pub const PEOPLE_MAX: usize = 1_000;
/// How many lines a room shows to whoever looks in.
pub const RECENT_MAX: usize = 100;

/// Who is there, and what was said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chatroom {
    people: BTreeSet<Key>,
    recent: VecDeque<Line>,
}

/// What happened: the event that is stored, and the item that subscribers receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub person: Key,
    /// What.
    pub did: Did,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// Came in.
    Entered,
    /// Said something.
    Said(String),
    /// Went out, or fell silent for too long.
    Left,
}

/// What a room can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Who is there, and what was said last.
    Look {},
    /// A person did something. People send it by cast.
    Hear {
        /// Who.
        person: Key,
        /// What.
        did: Did,
    },
}

/// The room as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// By name.
    pub people: Vec<Key>,
    /// Oldest first.
    pub recent: Vec<Line>,
}

impl Entity for Chatroom {
    const KIND: &'static str = "chatroom";
    const SUMMARY: &'static str = "Who is there, and what was said.";
    type Command = Command;
    type Reply = Glance;
    type Event = Line;
    type Error = std::convert::Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Glance, Self::Error> {
        if let Command::Hear { person, did } = command {
            self.hear(person, did, context);
        }
        Ok(Glance {
            people: self.people.iter().cloned().collect(),
            recent: self.recent.iter().cloned().collect(),
        })
    }

    fn apply(&mut self, line: Line) {
        match line.did {
            Did::Entered => drop(self.people.insert(line.person.clone())),
            Did::Left => drop(self.people.remove(&line.person)),
            Did::Said(_) => {}
        }
        self.recent.push_back(line);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![serde_json::json!({"look": {}})]
    }
}

impl Chatroom {
    fn hear(&self, person: Key, did: Did, context: &mut Context<'_, Self>) {
        let is_here = self.people.contains(&person);
        match did {
            Did::Entered if is_here => {}
            Did::Entered if self.people.len() >= PEOPLE_MAX => {
                // A cast has no reply: the answer is a cast too.
                let room = context.key().clone();
                context.cast::<Person>(person, &person::Command::TurnedAway { room });
            }
            Did::Said(_) | Did::Left if !is_here => {}
            did => {
                let line = Line { at_ms: context.now_ms(), person, did };
                context.publish(&line);
                context.emit(line);
            }
        }
    }
}
