//! An entity in memory: woken from what is stored, changed by what was stated.

use bytes::Bytes;

use super::{Durability, Entity, Image, Limits, RecordChange, SchemaVersion, Stored, UpcastError};
use crate::protocol::{CallError, Key, codec};

/// An entity in memory.
pub(super) struct Resident<E> {
    pub(super) state: E,
    pub(super) revision: u64,
    /// The number of the last event, stored or stated.
    pub(super) event: u64,
    /// The last event that is part of the image.
    pub(super) image_event: u64,
    /// The last proposal with effects of this entity.
    pub(super) proposal: u64,
    pub(super) used_ms: u64,
    pub(super) bytes: u32,
    pub(super) event_bytes: u32,
    pub(super) has_image: bool,
}

/// A state that passed all checks.
pub(super) enum Next<E> {
    Keep,
    Image {
        state: E,
        bytes: Bytes,
    },
    /// The state is folded in already.
    Events {
        events: Vec<(SchemaVersion, Bytes)>,
        image: Option<Bytes>,
    },
    Remove(E),
}

impl<E> Next<E> {
    pub(super) fn record_bytes(&self) -> usize {
        match self {
            Self::Keep | Self::Remove(_) => 0,
            Self::Image { bytes, .. } => bytes.len(),
            Self::Events { events, image, .. } => {
                let events: usize = events.iter().map(|(_, bytes)| bytes.len() + 600).sum();
                events + image.as_ref().map_or(0, Bytes::len)
            }
        }
    }
}

impl<E: Entity> Resident<E> {
    /// Whether `more` further events of `more_bytes` are too many to read at the next wake. A large image is
    /// rewritten only when the events behind it are as large.
    fn is_image_due(&self, more: usize, more_bytes: usize, limits: &Limits) -> bool {
        let count = self.event + more as u64 - self.image_event;
        let bytes_max = limits.image_every_bytes.max(self.bytes as usize);
        !self.has_image
            || count > u64::from(E::IMAGE_EVERY_EVENTS)
            || self.event_bytes as usize + more_bytes > bytes_max
    }

    pub(super) fn change(&mut self, next: Next<E>) -> RecordChange {
        let events_from = self.image_event + 1;
        match next {
            Next::Keep => RecordChange::Keep,
            Next::Image { state, bytes } => {
                self.state = state;
                self.revision += 1;
                self.image(bytes, events_from)
            }
            Next::Events { events, image } => {
                let first = self.event + 1;
                self.event += events.len() as u64;
                self.revision += events.len() as u64;
                match image {
                    Some(bytes) => self.image(bytes, events_from),
                    None => {
                        self.event_bytes += u32_of(events.iter().map(|(_, bytes)| bytes.len()).sum());
                        RecordChange::Events { first, events }
                    }
                }
            }
            Next::Remove(state) => {
                self.state = state;
                self.has_image = false;
                let events_to = self.event;
                (self.revision, self.event, self.image_event) = (0, 0, 0);
                (self.event_bytes, self.bytes) = (0, 0);
                RecordChange::Remove { events_from, events_to }
            }
        }
    }

    fn image(&mut self, bytes: Bytes, events_from: u64) -> RecordChange {
        self.has_image = true;
        (self.image_event, self.event_bytes, self.bytes) = (self.event, 0, u32_of(bytes.len()));
        let image = Image { schema: E::SCHEMA, revision: self.revision, event: self.event, bytes };
        RecordChange::Image { image, events_from }
    }
}

pub(super) fn encode_image<E: Entity>(state: E, limits: &Limits) -> Result<Next<E>, CallError> {
    if E::DURABILITY == Durability::Volatile {
        return Ok(Next::Image { state, bytes: Bytes::new() });
    }
    let bytes = encode_state(&state, limits)?;
    Ok(Next::Image { state, bytes })
}

fn encode_state<E: Entity>(state: &E, limits: &Limits) -> Result<Bytes, CallError> {
    let bytes = codec::encode(state).expect("state types are encodable; unit tests of the kind show it");
    check("the state", bytes.len(), limits.state_bytes_max)?;
    Ok(bytes.into())
}

/// Folds events into the resident itself: a copy of a large state for each event would cost more than the event.
pub(super) fn fold_events<E: Entity>(
    resident: &mut Resident<E>,
    events: Vec<E::Event>,
    limits: &Limits,
) -> Result<Next<E>, CallError> {
    if E::DURABILITY == Durability::Volatile {
        let mut state = resident.state.clone();
        events.into_iter().for_each(|event| state.apply(event));
        return Ok(Next::Image { state, bytes: Bytes::new() });
    }
    let mut encoded = Vec::with_capacity(events.len());
    for event in events {
        let bytes = codec::encode(&event).expect("event types are encodable; unit tests of the kind show it");
        encoded.push((E::SCHEMA, Bytes::from(bytes)));
        resident.state.apply(event);
    }
    let more: usize = encoded.iter().map(|(_, bytes)| bytes.len()).sum();
    let image = if resident.is_image_due(encoded.len(), more, limits) {
        Some(encode_state(&resident.state, limits)?)
    } else {
        None
    };
    Ok(Next::Events { events: encoded, image })
}

pub(super) fn revive<E: Entity>(key: &Key, stored: Option<Stored>) -> Result<Resident<E>, CallError> {
    let unreadable = |reason: String| CallError::UnreadableState { entity: entity_name::<E>(key), reason };
    let Some(Stored { image, events }) = stored else {
        return Ok(Resident {
            state: E::birth(key),
            revision: 0,
            event: 0,
            image_event: 0,
            proposal: 0,
            used_ms: 0,
            bytes: 0,
            event_bytes: 0,
            has_image: false,
        });
    };
    let mut state: E = decode_versioned::<E, E>(image.schema, &image.bytes, E::upcast).map_err(unreadable)?;
    let (count, mut event_bytes) = (events.len() as u64, 0);
    for (schema, bytes) in events {
        event_bytes += bytes.len();
        state.apply(decode_versioned::<E, E::Event>(schema, &bytes, E::upcast_event).map_err(unreadable)?);
    }
    Ok(Resident {
        state,
        revision: image.revision + count,
        event: image.event + count,
        image_event: image.event,
        proposal: 0,
        used_ms: 0,
        bytes: u32_of(image.bytes.len()),
        event_bytes: u32_of(event_bytes),
        has_image: true,
    })
}

fn decode_versioned<E: Entity, T: serde::de::DeserializeOwned>(
    schema: SchemaVersion,
    bytes: &[u8],
    upcast: fn(SchemaVersion, &[u8]) -> Result<T, UpcastError>,
) -> Result<T, String> {
    if !E::READS.contains(&schema) {
        let (from, to) = (E::READS.start(), E::READS.end());
        return Err(format!("it has schema version {schema}, this release reads {from} to {to}"));
    }
    if schema == E::SCHEMA {
        return codec::decode(bytes).map_err(|error| error.to_string());
    }
    upcast(schema, bytes).map_err(|error| error.to_string())
}

pub(super) fn entity_name<E: Entity>(key: &Key) -> String {
    format!("{}/{key}", E::KIND)
}

pub(super) fn check(what: &str, bytes: usize, bytes_max: usize) -> Result<(), CallError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(CallError::TooLarge { what: what.to_owned(), bytes: bytes as u64, bytes_max: bytes_max as u64 })
}

fn u32_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
