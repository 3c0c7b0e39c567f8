//! `counter`: a number that many may add to.
//!
//! | command | reply |
//! |---|---|
//! | `{"add": 1}` | `{"value": 1}` |
//! | `{"get": {}}` | `{"value": 1}` |
//! | `{"set": 5}` | `{"value": 5}` |

use serde::{Deserialize, Serialize};

use crate::{
    entity::{Context, Entity, NoEvents, Refusal},
    protocol::{Key, RefusalClass},
};

/// A number that many may add to. Starts at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    value: i64,
}

/// What a counter can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Adds a number, which may be negative.
    Add(i64),
    /// Sets the number.
    Set(i64),
    /// Reads the number.
    Get {},
}

/// The number after the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The number.
    pub value: i64,
}

/// Why a counter says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The number would not fit into 64 bits.
    #[error("{value} + {add} does not fit into 64 bits")]
    Overflow {
        /// The number now.
        value: i64,
        /// What was to be added.
        add: i64,
    },
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        "overflow"
    }

    fn class(&self) -> RefusalClass {
        RefusalClass::Unprocessable
    }
}

impl Entity for Counter {
    const KIND: &'static str = "counter";
    const SUMMARY: &'static str = "A number that many may add to.";
    type Command = Command;
    type Reply = Value;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Value, Error> {
        let value = match command {
            Command::Get {} => return Ok(Value { value: self.value }),
            Command::Set(value) => value,
            Command::Add(add) => {
                self.value.checked_add(add).ok_or(Error::Overflow { value: self.value, add })?
            }
        };
        context.save(Self { value });
        Ok(Value { value })
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![serde_json::json!({"add": 1}), serde_json::json!({"get": {}}), serde_json::json!({"set": 5})]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_refused_and_changes_nothing() {
        let key = Key::new("k").unwrap();
        let full = Counter { value: i64::MAX };
        let mut context = Context::detached(&key, 0, 0);
        let refused = full.handle(Command::Add(1), &mut context);
        assert_eq!(refused, Err(Error::Overflow { value: i64::MAX, add: 1 }));
        assert!(!context.into_effects().is_write());
    }
}
