//! The kind that is measured: it counts what arrives.

use std::convert::Infallible;

use bytes::Bytes;
use playhouse::{
    entity::{Context, Durability, Entity, NoEvents},
    protocol::Key,
};
use serde::{Deserialize, Serialize};

/// Counts what arrives. Its struct has 8 bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sink {
    received: u64,
}

/// What a sink can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Count this; the number says nothing.
    Note(u64),
    /// How many were counted.
    Received,
    /// Count this, too; the bytes say nothing.
    Load(Bytes),
}

impl Entity for Sink {
    const KIND: &'static str = "sink";
    const DURABILITY: Durability = Durability::Volatile;
    type Command = Command;
    type Reply = u64;
    type Event = NoEvents;
    type Error = Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<u64, Infallible> {
        if matches!(command, Command::Received) {
            return Ok(self.received);
        }
        let received = self.received + 1;
        context.save(Self { received });
        Ok(received)
    }
}
