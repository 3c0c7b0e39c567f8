//! A person: the rooms that they are in, and whether they are still there.

use std::{collections::BTreeSet, time::Duration};

use playhouse::{
    entity::{Context, Entity, NoEvents, Refusal},
    protocol::{Key, RefusalClass},
};
use serde::{Deserialize, Serialize};

use super::chatroom::{self, Chatroom, Did};

/// Who does nothing for this long leaves all rooms.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Most rooms that a person is in.
pub const ROOMS_MAX: usize = 50;
/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 4_000;

const SILENT: &str = "silent";

/// The rooms that a person is in. Presence is a timer: every command moves it, and when it fires they are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    rooms: BTreeSet<Key>,
    last_seen_ms: u64,
}

/// What a person can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Goes into a room.
    Enter {
        /// Which.
        room: Key,
    },
    /// Says something in a room.
    Say {
        /// Which.
        room: Key,
        /// At most 4,000 bytes.
        text: String,
    },
    /// Goes out of a room.
    Leave {
        /// Which.
        room: Key,
    },
    /// Is still there.
    Stay {},
    /// The room is full. Rooms send it by cast.
    TurnedAway {
        /// Which.
        room: Key,
    },
    /// Nothing was heard for a while. The person's own timer sends it.
    Silent {},
}

/// Where a person is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// By name.
    pub rooms: Vec<Key>,
}

/// Why a person cannot do that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Enter first; silence for a minute leaves all rooms.
    #[error("not in the room {0}")]
    NotThere(Key),
    /// Leave another one first.
    #[error("nobody is in more than {ROOMS_MAX} rooms")]
    TooManyRooms,
    /// Say it in parts.
    #[error("a text has at most {TEXT_BYTES_MAX} bytes, this has {0}")]
    TextTooLong(usize),
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NotThere(_) => "not_there",
            Self::TooManyRooms => "too_many_rooms",
            Self::TextTooLong(_) => "text_too_long",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::TextTooLong(_) => RefusalClass::Unprocessable,
            _ => RefusalClass::Conflict,
        }
    }
}

impl Entity for Person {
    const KIND: &'static str = "person";
    const SUMMARY: &'static str = "The rooms that somebody is in.";
    type Command = Command;
    type Reply = Whereabouts;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Whereabouts, Error> {
        let mut next = self.clone();
        match command {
            Command::Silent {} => next.go_if_silent(context),
            Command::TurnedAway { room } => drop(next.rooms.remove(&room)),
            command => {
                next.act(command, context)?;
                next.last_seen_ms = context.now_ms();
                context.set_timer(SILENT, SILENT_AFTER, &Command::Silent {});
            }
        }
        let rooms = next.rooms.iter().cloned().collect();
        context.save(next);
        Ok(Whereabouts { rooms })
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"enter": {"room": "lobby"}}),
            serde_json::json!({"say": {"room": "lobby", "text": "hello"}}),
            serde_json::json!({"stay": {}}),
            serde_json::json!({"leave": {"room": "lobby"}}),
        ]
    }
}

impl Person {
    fn act(&mut self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Error> {
        match command {
            Command::Enter { room } => {
                if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains(&room) {
                    return Err(Error::TooManyRooms);
                }
                tell(&room, Did::Entered, context);
                self.rooms.insert(room);
            }
            Command::Say { text, .. } if text.len() > TEXT_BYTES_MAX => {
                return Err(Error::TextTooLong(text.len()));
            }
            Command::Say { room, .. } if !self.rooms.contains(&room) => return Err(Error::NotThere(room)),
            Command::Say { room, text } => tell(&room, Did::Said(text), context),
            Command::Leave { room } => {
                if self.rooms.remove(&room) {
                    tell(&room, Did::Left, context);
                }
            }
            Command::Stay {} | Command::TurnedAway { .. } | Command::Silent {} => {}
        }
        Ok(())
    }

    /// Anybody may send the timer's command; only time makes it true.
    fn go_if_silent(&mut self, context: &mut Context<'_, Self>) {
        let silent_ms = u128::from(context.now_ms().saturating_sub(self.last_seen_ms));
        if silent_ms >= SILENT_AFTER.as_millis() {
            std::mem::take(&mut self.rooms).iter().for_each(|room| tell(room, Did::Left, context));
        }
    }
}

fn tell(room: &Key, did: Did, context: &mut Context<'_, Person>) {
    let person = context.key().clone();
    context.cast::<Chatroom>(room.clone(), &chatroom::Command::Hear { person, did });
}
