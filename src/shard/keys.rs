//! Where a shard keeps what, inside the state of its group.
//!
//! ```text
//! 'e' kind 0 key                image of an entity
//! 'v' kind 0 key 0 number:u64   event behind the image
//! 'c' kind 0 key                what the entity has published so far
//! 'h' kind 0 key 0 number:u64   published item
//! 't' due_ms:u64 kind 0 key 0 name   timer, in the order in which timers fire
//! 'u' kind 0 key 0 name              when that timer is due
//! 'i' kind 0 key 0 idempotency-key   the first reply
//! 'x' until_ms:u64 kind 0 key 0 idempotency-key   when it may be forgotten
//! 'o' number:u64                outbox: a cast that is not acknowledged yet
//! 'd' number:u64                dead letter
//! 'p' stream                    how far a stream was executed
//! 'q' stream number:u64         a reply that its router has not acknowledged
//! 'n'                           numbers and clock of the shard
//! ```
//!
//! Kinds and keys have no control characters, so the zero byte ends them. Numbers are big-endian.

use bytes::{BufMut, Bytes, BytesMut};

use super::envelope::StreamId;
use crate::protocol::Key;

/// A family of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    Image = b'e',
    Event = b'v',
    Published = b'c',
    Item = b'h',
    Due = b't',
    Timer = b'u',
    Idempotent = b'i',
    Expiry = b'x',
    Outbox = b'o',
    DeadLetter = b'd',
    Stream = b'p',
    Reply = b'q',
    Meta = b'n',
}

impl Family {
    /// Where the family begins.
    pub(super) fn start(self) -> Bytes {
        Bytes::copy_from_slice(&[self as u8])
    }

    /// Behind the last key of the family.
    pub(super) fn end(self) -> Bytes {
        Bytes::copy_from_slice(&[self as u8 + 1])
    }
}

/// The entity part of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub(super) kind: &'a str,
    pub(super) key: &'a Key,
}

impl Of<'_> {
    fn write(self, bytes: &mut BytesMut) {
        bytes.put_slice(self.kind.as_bytes());
        bytes.put_u8(0);
        bytes.put_slice(self.key.as_str().as_bytes());
    }

    fn len(self) -> usize {
        self.kind.len() + 1 + self.key.as_str().len()
    }
}

pub(super) fn entity(family: Family, of: Of<'_>) -> Bytes {
    let mut bytes = start(family, of.len());
    of.write(&mut bytes);
    bytes.freeze()
}

pub(super) fn entity_number(family: Family, of: Of<'_>, number: u64) -> Bytes {
    let mut bytes = start(family, of.len() + 9);
    of.write(&mut bytes);
    bytes.put_u8(0);
    bytes.put_u64(number);
    bytes.freeze()
}

pub(super) fn entity_name(family: Family, of: Of<'_>, name: &str) -> Bytes {
    let mut bytes = start(family, of.len() + 1 + name.len());
    of.write(&mut bytes);
    bytes.put_u8(0);
    bytes.put_slice(name.as_bytes());
    bytes.freeze()
}

/// `family time kind 0 key 0 name`; `name` may be empty.
pub(super) fn timed(family: Family, time_ms: u64, of: Of<'_>, name: &str) -> Bytes {
    let mut bytes = start(family, 8 + of.len() + 1 + name.len());
    bytes.put_u64(time_ms);
    of.write(&mut bytes);
    bytes.put_u8(0);
    bytes.put_slice(name.as_bytes());
    bytes.freeze()
}

/// Behind everything of `family` up to `time_ms`.
pub(super) fn timed_end(family: Family, time_ms: u64) -> Bytes {
    match time_ms.checked_add(1) {
        Some(next) => number(family, next),
        None => family.end(),
    }
}

/// Takes a key of [`timed`] apart: time, kind, key, name.
pub(super) fn parse_timed(bytes: &[u8]) -> Option<(u64, &str, Key, &str)> {
    let time = u64::from_be_bytes(bytes.get(1..9)?.try_into().ok()?);
    let mut parts = std::str::from_utf8(bytes.get(9..)?).ok()?.splitn(3, '\0');
    let (kind, key, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((time, kind, Key::new(key).ok()?, name))
}

pub(super) fn number(family: Family, number: u64) -> Bytes {
    let mut bytes = start(family, 8);
    bytes.put_u64(number);
    bytes.freeze()
}

/// The number at the end of a key.
pub(super) fn parse_number(bytes: &[u8]) -> Option<u64> {
    let at = bytes.len().checked_sub(8)?;
    Some(u64::from_be_bytes(bytes[at..].try_into().ok()?))
}

pub(super) fn stream(family: Family, stream: StreamId) -> Bytes {
    write_stream(start(family, 17), stream).freeze()
}

pub(super) fn stream_number(stream: StreamId, number: u64) -> Bytes {
    let mut bytes = write_stream(start(Family::Reply, 25), stream);
    bytes.put_u64(number);
    bytes.freeze()
}

fn write_stream(mut bytes: BytesMut, stream: StreamId) -> BytesMut {
    match stream {
        StreamId::Router { node, incarnation } => {
            bytes.put_u8(b'r');
            bytes.put_u64(node);
            bytes.put_u64(incarnation);
        }
        StreamId::Shard(shard) => {
            bytes.put_u8(b's');
            bytes.put_u16(shard.0);
        }
    }
    bytes
}

/// Takes a key of [`stream`] apart.
pub(super) fn parse_stream(bytes: &[u8]) -> Option<StreamId> {
    let u64_at = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    match bytes.get(1)? {
        b'r' => Some(StreamId::Router { node: u64_at(2)?, incarnation: u64_at(10)? }),
        b's' => {
            let shard = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            Some(StreamId::Shard(crate::protocol::ShardId(shard)))
        }
        _ => None,
    }
}

/// `family kind 0 prefix`: where keys of a kind that start with `prefix` begin.
pub(super) fn kind_prefix(family: Family, kind: &str, prefix: &str) -> Bytes {
    let mut bytes = start(family, kind.len() + 1 + prefix.len());
    bytes.put_slice(kind.as_bytes());
    bytes.put_u8(0);
    bytes.put_slice(prefix.as_bytes());
    bytes.freeze()
}

/// Behind all keys that start with `prefix`, which must not be all 0xff.
pub(super) fn after_prefix(prefix: &[u8]) -> Bytes {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            break;
        }
    }
    bytes.into()
}

fn start(family: Family, more: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(1 + more);
    bytes.put_u8(family as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ShardId;

    #[test]
    fn keys_can_be_taken_apart_again() {
        let key = Key::new("visits").unwrap();
        let of = Of { kind: "counter", key: &key };
        let due = timed(Family::Due, 77, of, "expire");
        assert_eq!(parse_timed(&due), Some((77, "counter", key.clone(), "expire")));
        assert!(due < timed_end(Family::Due, 77));
        assert!(timed(Family::Due, 78, of, "") >= timed_end(Family::Due, 77));
        assert_eq!(parse_number(&entity_number(Family::Event, of, 9)), Some(9));
        for id in [StreamId::Router { node: 3, incarnation: 4 }, StreamId::Shard(ShardId(5))] {
            assert_eq!(parse_stream(&stream(Family::Stream, id)), Some(id));
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_its_keys() {
        assert_eq!(&after_prefix(b"ab")[..], b"ac");
        assert_eq!(&after_prefix(&[1, 255])[..], [2]);
    }
}
