//! Kinds that do what the kinds that ship do not: cast, spawn, grow too large, change their schema, publish from memory alone.

use serde::{Deserialize, Serialize};

use crate::{
    entity::{Context, Entity, NoEvents},
    protocol::Key,
};

pub(super) use beacon::Beacon;
pub(super) use dozer::Dozer;
pub(super) use gauge::{Gauge, OldGauge};
pub(super) use hoard::Hoard;
pub(super) use sender::Sender;

/// Casts, stays and goes.
pub(super) mod sender {
    use super::*;
    use crate::kinds::{Counter, counter};

    #[derive(Clone, Serialize, Deserialize)]
    pub(crate) struct Sender;

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Command {
        /// Adds one to a counter.
        AddTo(String),
        /// Is stored.
        Stay,
        /// Is removed.
        Go,
        /// Does nothing.
        Look,
    }

    impl Entity for Sender {
        const KIND: &'static str = "sender";
        type Command = Command;
        type Reply = ();
        type Event = NoEvents;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self
        }

        fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            match command {
                Command::AddTo(counter) => {
                    context.cast::<Counter>(Key::new(counter).unwrap(), &counter::Command::Add(1));
                }
                Command::Stay => context.save(Self),
                Command::Go => context.remove(),
                Command::Look => {}
            }
            Ok(())
        }
    }
}

/// Lives in memory alone, publishes, and sets timers.
pub(super) mod beacon {
    use std::time::Duration;

    use super::*;
    use crate::entity::Durability;

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub(crate) struct Beacon;

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Command {
        /// Publishes that number.
        Flash(u32),
        /// Sets a thousand timers of that name: it flashes once for each, after that time.
        Later(String, Duration),
    }

    impl Entity for Beacon {
        const KIND: &'static str = "beacon";
        const DURABILITY: Durability = Durability::Volatile;
        type Command = Command;
        type Reply = ();
        type Event = NoEvents;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self
        }

        fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            match command {
                Command::Flash(number) => context.publish(&number),
                Command::Later(name, after) => (0..1_000).for_each(|number| {
                    context.set_timer(&format!("{name} {number}"), after, &Command::Flash(number));
                }),
            }
            Ok(())
        }
    }
}

/// Spawns work, and a call.
pub(super) mod dozer {
    use std::time::Duration;

    use super::*;
    use crate::kinds::{Counter, counter};

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub(crate) struct Dozer {
        dozed: u32,
        woken: u32,
        counted: i64,
    }

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Command {
        Doze,
        Woken,
        Counted(i64),
    }

    impl Entity for Dozer {
        const KIND: &'static str = "dozer";
        type Command = Command;
        type Reply = ();
        type Event = NoEvents;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self::default()
        }

        fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            match command {
                Command::Doze => {
                    context.state_mut(self).dozed += 1;
                    context.spawn(async { Command::Woken });
                }
                Command::Woken => {
                    context.state_mut(self).woken += 1;
                    let naps = Key::new("naps").unwrap();
                    let timeout = Duration::from_secs(1);
                    context.call::<Counter>(naps, &counter::Command::Add(1), timeout, |outcome| {
                        Command::Counted(outcome.map_or(-1, |reply| reply.value))
                    });
                }
                Command::Counted(value) => context.state_mut(self).counted = value,
            }
            Ok(())
        }
    }
}

/// One kind in two releases.
pub(super) mod gauge {
    use std::{ops::RangeInclusive, time::Duration};

    use super::*;
    use crate::{
        entity::{SchemaVersion, UpcastError},
        protocol::codec,
    };

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Command {
        Set(i32),
        /// Comes in a second.
        Later(Box<Command>),
    }

    /// As the old release has it, before there was a timer.
    #[derive(Serialize, Deserialize)]
    pub(crate) enum OldCommand {
        Set(i32),
    }

    /// As the old release has it.
    #[derive(Clone, Default, Serialize, Deserialize)]
    pub(crate) struct OldGauge {
        celsius: i32,
    }

    impl Entity for OldGauge {
        const KIND: &'static str = "gauge";
        type Command = OldCommand;
        type Reply = ();
        type Event = NoEvents;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self::default()
        }

        fn handle(&self, command: OldCommand, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            let OldCommand::Set(celsius) = command;
            context.save(Self { celsius });
            Ok(())
        }
    }

    /// As the new release has it.
    #[derive(Clone, Default, Serialize, Deserialize)]
    pub(crate) struct Gauge {
        celsius: i64,
        sets: u32,
    }

    impl Entity for Gauge {
        const KIND: &'static str = "gauge";
        const SCHEMA: SchemaVersion = 2;
        const READS: RangeInclusive<SchemaVersion> = 1..=2;
        type Command = Command;
        type Reply = ();
        type Event = NoEvents;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self::default()
        }

        fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            match command {
                Command::Set(celsius) => context.save(Self { celsius: celsius.into(), sets: self.sets + 1 }),
                Command::Later(command) => context.set_timer("later", Duration::from_secs(1), &command),
            }
            Ok(())
        }

        fn upcast(found: SchemaVersion, bytes: &[u8]) -> Result<Self, UpcastError> {
            let old: OldGauge =
                codec::decode(bytes).map_err(|error| UpcastError { found, reason: error.to_string() })?;
            Ok(Self { celsius: old.celsius.into(), sets: 0 })
        }
    }
}

/// Keeps as many bytes as it is told, as events, with an image each time.
pub(super) mod hoard {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
    pub(crate) struct Hoard(String);

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Command {
        Keep(usize),
        KeepBadly,
        KeepTwice,
    }

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Event {
        Kept(usize),
        KeptBadly,
    }

    impl Entity for Hoard {
        const KIND: &'static str = "hoard";
        const IMAGE_EVERY_EVENTS: u32 = 0;
        type Command = Command;
        type Reply = ();
        type Event = Event;
        type Error = std::convert::Infallible;

        fn birth(_: &Key) -> Self {
            Self::default()
        }

        fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<(), Self::Error> {
            match command {
                Command::Keep(bytes) => context.emit(Event::Kept(bytes)),
                Command::KeepBadly => {
                    context.emit(Event::Kept(1));
                    context.emit(Event::KeptBadly);
                }
                Command::KeepTwice => {
                    context.emit(Event::Kept(1));
                    context.save(Self("x".to_owned()));
                }
            }
            Ok(())
        }

        fn apply(&mut self, event: Event) {
            match event {
                Event::Kept(bytes) => self.0.push_str(&"x".repeat(bytes)),
                Event::KeptBadly => panic!("apply must not panic, but may"),
            }
        }

        fn show(&self) -> serde_json::Value {
            self.0.len().into()
        }
    }
}
