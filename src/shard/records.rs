//! What a shard stores beside its entities. Every record starts with its format version.

use bytes::Bytes;
use playhouse_cluster::store::StoreError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    keys,
    keys::{Family, Of},
    pending::Pending,
};
use crate::{
    entity::{Image, LoadError, Loaded, RecordChange, Records, SchemaVersion, Stored},
    protocol::{Body, EntityId, Key, codec},
};

/// The version of all records of this module. A change of their shape counts it up and keeps reading the old one.
const RECORD_VERSION: u8 = 1;

/// How many events are read at once when an entity is woken.
const EVENTS_PER_READ: usize = 256;

/// Numbers and clock of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// The shard's clock never runs back behind this.
    pub(super) clock_ms: u64,
    /// The number of the last cast put into the outbox.
    pub(super) outbox_last: u64,
    /// The number of the last dead letter.
    pub(super) dead_letter_last: u64,
    /// How many dead letters are kept.
    pub(super) dead_letters: u64,
    /// What idempotency records take, in bytes.
    pub(super) idempotency_bytes: u64,
}

/// A cast that waits for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutboxCast {
    pub(super) target: EntityId,
    pub(super) body: Body,
}

/// A message that could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// To whom it was sent.
    pub target: EntityId,
    /// The command.
    pub body: Body,
    /// Why it could not be delivered.
    pub reason: String,
    /// When, in milliseconds of the shard's clock.
    pub at_ms: u64,
}

/// A record that cannot be read stops the shard: going on would lose what it says.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { path: what.into(), reason };
    match bytes.split_first() {
        Some((&RECORD_VERSION, rest)) => codec::decode(rest).map_err(|error| corrupt(error.to_string())),
        Some((version, _)) => Err(StoreError::ForeignFormat {
            path: what.into(),
            found: version.to_string(),
            supported: RECORD_VERSION.to_string(),
        }),
        None => Err(corrupt("the record is empty".to_owned())),
    }
}

pub(super) fn encode<T: Serialize>(record: &T) -> Bytes {
    codec::encode_into(record, vec![RECORD_VERSION]).expect("records have known lengths").into()
}

impl Records for Pending {
    fn load(&self, kind: &str, key: &Key) -> Result<Loaded, LoadError> {
        self.read_entity(kind, key).map_err(|error| LoadError(error.to_string()))
    }
}

impl Pending {
    /// The image of an entity and the events behind it, with the newest proposal that they are part of.
    pub(super) fn read_entity(&self, kind: &str, key: &Key) -> Result<Loaded, StoreError> {
        let of = Of { kind, key };
        let (image, proposal) = self.get(&keys::entity(Family::Image, of))?;
        let Some(image) = image else { return Ok(Loaded { stored: None, proposal }) };
        let image: Image = decode("an image", &image)?;
        let mut events: Vec<(SchemaVersion, Bytes)> = Vec::new();
        let to = keys::entity_number(Family::Event, of, u64::MAX);
        loop {
            let first = image.event + 1 + events.len() as u64;
            let from = keys::entity_number(Family::Event, of, first);
            let pairs = self.scan(&from, &to, EVENTS_PER_READ)?;
            let count = pairs.len();
            for (_, bytes) in pairs {
                events.push(decode("an event", &bytes)?);
            }
            if count < EVENTS_PER_READ {
                let first = keys::entity_number(Family::Event, of, image.event + 1);
                let proposal = proposal.max(self.newest_in(&first, &to));
                return Ok(Loaded { stored: Some(Stored { image, events }), proposal });
            }
        }
    }
}

/// Writes what becomes of an entity's record.
pub(super) fn write(pending: &mut Pending, of: Of<'_>, change: RecordChange) {
    match change {
        RecordChange::Keep => {}
        RecordChange::Image { image, events_from } => {
            remove_events(pending, of, events_from, image.event);
            pending.put(keys::entity(Family::Image, of), encode(&image));
        }
        RecordChange::Events { first, events } => {
            for (number, event) in (first..).zip(events) {
                pending.put(keys::entity_number(Family::Event, of, number), encode(&event));
            }
        }
        RecordChange::Remove { events_from, events_to } => {
            remove_events(pending, of, events_from, events_to);
            pending.remove(keys::entity(Family::Image, of));
        }
    }
}

fn remove_events(pending: &mut Pending, of: Of<'_>, from: u64, to: u64) {
    (from..=to).for_each(|number| pending.remove(keys::entity_number(Family::Event, of, number)));
}
