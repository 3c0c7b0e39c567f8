//! An entity that tells a process: whoever has a name in the cluster.

use playhouse::{
    entity::{Context, Entity, NoEvents},
    process::ClusterNames,
    protocol::Key,
};
use serde::{Deserialize, Serialize};

use super::consumer::{CONSUMER, Wake};

/// How often it rang, and how often somebody was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doorbell {
    rung: u32,
    heard: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Ring {},
    /// Whether the process took the message.
    Told(bool),
    Look {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub rung: u32,
    pub heard: u32,
}

impl Entity for Doorbell {
    const KIND: &'static str = "doorbell";
    const SUMMARY: &'static str = "Tells a process.";
    type Command = Command;
    type Reply = Rung;
    type Event = NoEvents;
    type Error = std::convert::Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Rung, Self::Error> {
        match command {
            Command::Ring {} => {
                context.state_mut(self).rung += 1;
                let names = context.given::<ClusterNames>().expect("a node with peers has names");
                context.spawn(async move { Command::Told(names.cast(CONSUMER, Wake::Rung).await.is_ok()) });
            }
            Command::Told(true) => context.state_mut(self).heard += 1,
            Command::Told(false) | Command::Look {} => {}
        }
        Ok(Rung { rung: self.rung, heard: self.heard })
    }
}
