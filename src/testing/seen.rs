//! What left the output gate.

use serde_json::Value;

use crate::{
    entity::Entity,
    protocol::{Body, Content, EntityId, codec},
};

/// A cast that left the output gate and was not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCast {
    /// To whom.
    pub target: EntityId,
    /// The command, encoded.
    pub body: Body,
    /// Its number in the outbox; `None` if a `Volatile` entity sent it.
    pub(super) number: Option<u64>,
}

impl SentCast {
    /// The command, if it is one of kind `T`.
    #[must_use]
    pub fn command<T: Entity>(&self) -> Option<T::Command> {
        match self.body.content {
            _ if self.target.kind.as_str() != T::KIND => None,
            Content::Binary => codec::decode(&self.body.bytes).ok(),
            Content::Json => serde_json::from_slice(&self.body.bytes).ok(),
        }
    }
}

/// An item that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// By whom.
    pub entity: EntityId,
    /// Its number at that entity, counting from 1.
    pub revision: u64,
    /// As subscribers receive it.
    pub item: Value,
}
