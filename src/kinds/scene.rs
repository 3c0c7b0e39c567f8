//! One entity on its own, for the unit tests of kinds: commands go in, effects are carried out.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    entity::{Change, Context, Effects, Entity, TimerChange},
    protocol::{Key, codec},
};

/// One entity, its clock, and what its last command stated. Everything passes through both codecs on its way.
pub(crate) struct Scene<E: Entity> {
    key: Key,
    state: E,
    now_ms: u64,
    revision: u64,
    timers: Vec<TimerChange>,
    published: Vec<Value>,
}

impl<E: Entity> Scene<E> {
    pub(crate) fn new(key: &str) -> Self {
        let key = Key::new(key).unwrap();
        let state = E::birth(&key);
        Self { key, state, now_ms: 1_000, revision: 0, timers: Vec::new(), published: Vec::new() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Timers that the last command set and cancelled.
    pub(crate) fn timers(&self) -> &[TimerChange] {
        &self.timers
    }

    /// What the last command published.
    pub(crate) fn published(&self) -> &[Value] {
        &self.published
    }

    /// The reply to a JSON command that is not refused.
    pub(crate) fn ask(&mut self, command: &str) -> Value {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command} was refused: {error}"))
    }

    /// The reply to a JSON command.
    pub(crate) fn try_ask(&mut self, command: &str) -> Result<Value, E::Error> {
        let command = serde_json::from_str(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        self.command(command).map(|reply| serde_json::to_value(reply).unwrap())
    }

    /// Executes a command and carries out what it stated.
    pub(crate) fn command(&mut self, command: E::Command) -> Result<E::Reply, E::Error> {
        let mut context = Context::detached(&self.key, self.now_ms, self.revision);
        let reply = self.state.handle(through_codecs(&command), &mut context)?;
        self.carry_out(context.into_effects());
        Ok(through_codecs(&reply))
    }

    fn carry_out(&mut self, effects: Effects<E>) {
        assert_eq!(effects.fault, None);
        self.revision += u64::from(effects.is_write());
        self.timers = effects.timers;
        self.published = effects.published.iter().map(|item| serde_json::from_slice(item).unwrap()).collect();
        match effects.change {
            Change::Keep => {}
            Change::Save(next) => self.state = next,
            Change::Remove => self.state = E::birth(&self.key),
            Change::Emit(events) => {
                for event in events {
                    self.state.apply(through_binary(&event));
                }
            }
        }
        self.state = through_binary(&self.state);
    }
}

fn through_binary<T: Serialize + DeserializeOwned>(value: &T) -> T {
    codec::decode(&codec::encode(value).unwrap()).unwrap()
}

fn through_codecs<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_string(&through_binary(value)).unwrap();
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
