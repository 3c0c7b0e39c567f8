//! `journal`: remembers who wrote what, in which order. Shows lost, repeated and reordered messages.

use std::convert::Infallible;

use playhouse::{
    entity::{Context, Entity, NoEvents},
    protocol::Key,
};
use serde::{Deserialize, Serialize};

/// What was written, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    lines: Vec<Line>,
}

/// The `number`th message of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    pub sender: u32,
    pub number: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Append(Line),
    Read {},
}

impl Entity for Journal {
    const KIND: &'static str = "journal";
    type Command = Command;
    type Reply = Vec<Line>;
    type Event = NoEvents;
    type Error = Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Vec<Line>, Infallible> {
        match command {
            Command::Read {} => Ok(self.lines.clone()),
            Command::Append(line) => {
                let mut next = self.clone();
                next.lines.push(line);
                context.save(next);
                Ok(Vec::new())
            }
        }
    }
}
