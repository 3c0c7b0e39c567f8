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
/// The version of dead letters: since 2 they say how long their command was.
const DEAD_LETTER_VERSION: u8 = 2;

/// A dead letter keeps so much of its command: several are part of one proposal, and of one answer.
const LETTER_BODY_BYTES_MAX: usize = 64 << 10;
/// And so much of its reason, which may come from the code of a kind.
const LETTER_REASON_BYTES_MAX: usize = 4 << 10;

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
    /// The command; of a long one the first 65,536 bytes.
    pub body: Body,
    /// How many bytes the command had.
    pub body_bytes: u64,
    /// Why it could not be delivered.
    pub reason: String,
    /// When, in milliseconds of the shard's clock.
    pub at_ms: u64,
}

/// As releases wrote it that kept whole commands.
#[derive(Serialize, Deserialize)]
struct WholeDeadLetter {
    target: EntityId,
    body: Body,
    reason: String,
    at_ms: u64,
}

impl DeadLetter {
    pub(super) fn new(target: EntityId, mut body: Body, mut reason: String, at_ms: u64) -> Self {
        let body_bytes = body.len() as u64;
        body.bytes.truncate(LETTER_BODY_BYTES_MAX);
        reason.truncate(reason.floor_char_boundary(LETTER_REASON_BYTES_MAX));
        Self { target, body, body_bytes, reason, at_ms }
    }

    /// Whether all of the command was kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.body.len() as u64 == self.body_bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        const WHAT: &str = "a dead letter";
        if bytes.first() != Some(&RECORD_VERSION) {
            return decode_version(WHAT, DEAD_LETTER_VERSION, bytes);
        }
        let WholeDeadLetter { target, body, reason, at_ms } = decode(WHAT, bytes)?;
        Ok(Self::new(target, body, reason, at_ms))
    }

    pub(super) fn encode(&self) -> Bytes {
        encode_version(DEAD_LETTER_VERSION, self)
    }
}

/// A record that cannot be read stops the shard: going on would lose what it says.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    decode_version(what, RECORD_VERSION, bytes)
}

fn decode_version<T: DeserializeOwned>(what: &str, supported: u8, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { path: what.into(), reason };
    match bytes.split_first() {
        Some((version, rest)) if *version == supported => {
            codec::decode(rest).map_err(|error| corrupt(error.to_string()))
        }
        Some((version, _)) => Err(StoreError::ForeignFormat {
            path: what.into(),
            found: version.to_string(),
            supported: supported.to_string(),
        }),
        None => Err(corrupt("the record is empty".to_owned())),
    }
}

pub(super) fn encode<T: Serialize>(record: &T) -> Bytes {
    encode_version(RECORD_VERSION, record)
}

fn encode_version<T: Serialize>(version: u8, record: &T) -> Bytes {
    codec::encode_into(record, vec![version]).expect("records have known lengths").into()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Old letters stay readable, and what is shown of them is bounded as well.
    #[test]
    fn a_letter_that_an_older_release_wrote_is_read_and_cut() {
        let target = EntityId::new("counter", "visits").unwrap();
        let body = Body::json("x".repeat(LETTER_BODY_BYTES_MAX + 1));
        let whole = WholeDeadLetter { target, body, reason: "é".repeat(LETTER_REASON_BYTES_MAX), at_ms: 7 };
        let letter = DeadLetter::decode(&encode(&whole)).unwrap();
        assert_eq!((letter.body.len(), letter.at_ms), (LETTER_BODY_BYTES_MAX, 7));
        assert_eq!((letter.body_bytes, letter.is_whole()), (LETTER_BODY_BYTES_MAX as u64 + 1, false));
        assert_eq!(letter.reason.len(), LETTER_REASON_BYTES_MAX);
        assert_eq!(DeadLetter::decode(&letter.encode()).unwrap(), letter);
        let newer = DeadLetter::decode(&[DEAD_LETTER_VERSION + 1]).unwrap_err();
        assert!(matches!(newer, StoreError::ForeignFormat { supported, .. } if supported == "2"));
    }
}
