//! The durable kind of a size that is chosen: it keeps the bytes that it was last sent.

use std::convert::Infallible;

use bytes::Bytes;
use playhouse::{
    entity::{Context, Entity, NoEvents},
    protocol::Key,
};
use serde::{Deserialize, Serialize};

/// Keeps the bytes that it was last sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Parcel {
    content: Bytes,
}

impl Entity for Parcel {
    const KIND: &'static str = "parcel";
    /// Keep this.
    type Command = Bytes;
    /// How often it was changed.
    type Reply = u64;
    type Event = NoEvents;
    type Error = Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, content: Bytes, context: &mut Context<'_, Self>) -> Result<u64, Infallible> {
        context.save(Self { content });
        Ok(context.revision() + 1)
    }
}
