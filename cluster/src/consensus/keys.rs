//! Where a group keeps what, in the store that all groups share.
//!
//! ```text
//! 'g' group:u32  'v'                    vote
//! 'g' group:u32  'p'                    last purged log id
//! 'g' group:u32  'l' index:u64          log entry
//! 'g' group:u32  'd'                    what a destroyed replica left behind
//! 'g' group:u32  'a'                    applied: log id, membership, generation, last proposal
//! 'g' group:u32  's' generation:u32 …   state; a snapshot arrives under the next generation
//! ```
//!
//! Numbers are big-endian, so that their order is the order of the bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::GroupId;

const ROOT: u8 = b'g';
const GRAVE: u8 = b'd';

/// Makes the keys of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    group: GroupId,
}

impl Keys {
    pub(crate) fn new(group: GroupId) -> Self {
        Self { group }
    }

    pub(crate) fn vote(self) -> Bytes {
        self.part(b'v', 0).freeze()
    }

    pub(crate) fn purged(self) -> Bytes {
        self.part(b'p', 0).freeze()
    }

    pub(crate) fn applied(self) -> Bytes {
        self.part(b'a', 0).freeze()
    }

    pub(crate) fn entry(self, index: u64) -> Bytes {
        let mut key = self.part(b'l', 8);
        key.put_u64(index);
        key.freeze()
    }

    /// The index in the key of an entry.
    pub(crate) fn index(entry: &[u8]) -> Option<u64> {
        entry.last_chunk().map(|index| u64::from_be_bytes(*index))
    }

    /// All log entries.
    pub(crate) fn log(self) -> Range<Bytes> {
        self.part(b'l', 0).freeze()..self.part(b'l' + 1, 0).freeze()
    }

    /// What a destroyed replica left behind.
    pub(crate) fn grave(self) -> Bytes {
        self.part(GRAVE, 0).freeze()
    }

    /// Everything of the group but its grave, as two ranges.
    pub(crate) fn all_but_grave(self) -> [Range<Bytes>; 2] {
        let (first, last) = (self.part(0, 0).freeze(), self.part(u8::MAX, 0).freeze());
        [first..self.grave(), self.part(GRAVE + 1, 0).freeze()..last]
    }

    /// Everything that a snapshot reads.
    pub(crate) fn all(self) -> Range<Bytes> {
        self.applied()..self.part(b's' + 1, 0).freeze()
    }

    /// The prefix of all state of `generation`.
    pub(crate) fn state(self, generation: u32) -> Bytes {
        let mut key = self.part(b's', 4);
        key.put_u32(generation);
        key.freeze()
    }

    /// One key of the state.
    pub(crate) fn state_key(self, generation: u32, key: &[u8]) -> Bytes {
        let mut full = self.part(b's', 4 + key.len());
        full.put_u32(generation);
        full.put_slice(key);
        full.freeze()
    }

    /// The state of `generation`.
    pub(crate) fn generation(self, generation: u32) -> Range<Bytes> {
        self.state(generation)..self.other_generations(generation)[1].start.clone()
    }

    /// The prefixes of all generations but `generation`, as two ranges: those below it, those above it.
    pub(crate) fn other_generations(self, generation: u32) -> [Range<Bytes>; 2] {
        let end = self.part(b's' + 1, 0).freeze();
        let next = generation.checked_add(1).map_or_else(|| end.clone(), |next| self.state(next));
        [self.state(0)..self.state(generation), next..end]
    }

    fn part(self, part: u8, more: usize) -> BytesMut {
        let mut key = BytesMut::with_capacity(6 + more);
        key.put_u8(ROOT);
        key.put_u32(self.group.0);
        key.put_u8(part);
        key
    }
}

/// Length of the prefix that [`Keys::state_key`] puts before a key.
pub(crate) const STATE_PREFIX_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_generations_leave_out_exactly_one() {
        let keys = Keys::new(GroupId(7));
        let covered = |generation: u32, key: &Bytes| {
            keys.other_generations(generation).iter().any(|range| range.contains(key))
        };
        for generation in [0, 1, u32::MAX] {
            assert!(!covered(generation, &keys.state_key(generation, b"x")));
            assert!(!covered(generation, &keys.state_key(generation, &[0xff; 9])));
            assert!(covered(generation, &keys.state_key(generation ^ 1, b"x")));
        }
        assert!(!covered(0, &Keys::new(GroupId(8)).state_key(5, b"x")));
    }

    #[test]
    fn all_but_the_grave_is_exactly_that() {
        let keys = Keys::new(GroupId(7));
        let covered = |key: &Bytes| keys.all_but_grave().iter().any(|range| range.contains(key));
        let parts = [keys.vote(), keys.purged(), keys.applied(), keys.entry(u64::MAX)];
        assert!(parts.iter().all(covered) && covered(&keys.state_key(u32::MAX, &[0xff; 9])));
        assert!(!covered(&keys.grave()));
        assert!(!covered(&Keys::new(GroupId(6)).vote()) && !covered(&Keys::new(GroupId(8)).applied()));
    }

    #[test]
    fn the_key_of_an_entry_tells_its_index() {
        assert_eq!(Keys::index(&Keys::new(GroupId(1)).entry(0x0102_0304_0506)), Some(0x0102_0304_0506));
    }

    #[test]
    fn state_keys_start_with_their_prefix() {
        let key = Keys::new(GroupId(1)).state_key(2, b"abc");
        assert_eq!(&key[STATE_PREFIX_BYTES..], b"abc");
        assert!(key.starts_with(&Keys::new(GroupId(1)).state(2)));
    }
}
