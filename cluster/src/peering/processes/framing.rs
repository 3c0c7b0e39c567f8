//! Looks at the bytes that a session writes: drops messages that are too large, and tells which messages have left.
//!
//! ```text
//! frame     length u64, big-endian · protobuf       as `ractor_cluster` writes it
//! ```
//!
//! Of the protobuf only the outermost is known: field 2 is a message between processes, in which field 1 is a cast, field 2 a
//! call, and field 3 a reply. In casts and calls the metadata is the last field, so that it ends the frame. The other fields
//! are what sessions say to each other: one frame lists all remotable processes, another one all members of a group. A peer
//! that misses one of those knows less than it believes, so they are never dropped.

use super::{
    budget::{CHARGE_BYTES, Charge},
    config::FRAME_BYTES_MAX,
};

const LENGTH_BYTES: usize = 8;
/// Tag, length, tag: enough to know what a frame is.
const HEAD_BYTES: usize = 12;
/// Fields of protobuf that have a length.
const FIELD_1: u8 = 0x0a;
const FIELD_2: u8 = 0x12;

/// Where in the frames the bytes are.
#[derive(Debug)]
pub(super) struct Framing {
    message_bytes_max: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collects the length of the next frame.
    Length {
        bytes: [u8; LENGTH_BYTES],
        have: usize,
    },
    /// The length is above that of a message; the next byte says whether it is one.
    Large(u64),
    Body(Body),
}

#[derive(Debug)]
struct Body {
    left: u64,
    is_dropped: bool,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// What became of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// So many of them were taken.
    pub(super) taken: usize,
    /// Messages that left (or were dropped).
    pub(super) charges: Vec<Charge>,
    /// Messages that were too large, with their length.
    pub(super) dropped: Vec<u64>,
    /// The length of a frame that is too large and cannot be dropped: nothing passes any more.
    pub(super) excess: Option<u64>,
}

impl Framing {
    pub(super) fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max: message_bytes_max as u64, state: State::next() }
    }

    /// Takes what it can of `input` and appends to `output` what is to be sent, at most `room` bytes.
    pub(super) fn pass(&mut self, input: &[u8], room: usize, output: &mut Vec<u8>) -> Passed {
        let end = output.len() + room;
        let mut passed = Passed::default();
        loop {
            let rest = &input[passed.taken..];
            let taken = match &mut self.state {
                State::Length { bytes, have } => Self::collect(bytes, have, rest, end - output.len()),
                State::Large(_) => 0,
                State::Body(body) => body.pass(rest, end - output.len(), output),
            };
            passed.taken += taken;
            let next = input.get(passed.taken).copied();
            let is_turned = self.turn(next, end - output.len(), output, &mut passed);
            if taken == 0 && !is_turned {
                return passed;
            }
        }
    }

    /// A whole length must have room: it is sent as one.
    fn collect(bytes: &mut [u8; LENGTH_BYTES], have: &mut usize, rest: &[u8], room: usize) -> usize {
        if room < LENGTH_BYTES {
            return 0;
        }
        let count = rest.len().min(LENGTH_BYTES - *have);
        bytes[*have..*have + count].copy_from_slice(&rest[..count]);
        *have += count;
        count
    }

    /// Goes on when a length or a body is complete. `next` is the byte that was not yet taken.
    fn turn(&mut self, next: Option<u8>, room: usize, output: &mut Vec<u8>, passed: &mut Passed) -> bool {
        match &self.state {
            State::Length { bytes, have: LENGTH_BYTES } => match u64::from_be_bytes(*bytes) {
                length if length > self.message_bytes_max => self.state = State::Large(length),
                length => self.state = State::sent(length, output),
            },
            State::Large(length) => match (*length, next) {
                (length, Some(FIELD_2)) => {
                    passed.dropped.push(length);
                    self.state = State::body(length, true);
                }
                (length, Some(_)) if length > FRAME_BYTES_MAX as u64 => {
                    passed.excess = Some(length);
                    return false;
                }
                // With the byte that follows: whoever sends something has taken something.
                (length, Some(_)) if room > LENGTH_BYTES => self.state = State::sent(length, output),
                _ => return false,
            },
            State::Body(body) if body.left == 0 => {
                passed.charges.extend(body.charge());
                self.state = State::next();
            }
            _ => return false,
        }
        true
    }
}

impl State {
    fn next() -> Self {
        Self::Length { bytes: [0; LENGTH_BYTES], have: 0 }
    }

    /// A frame that is sent begins with its length.
    fn sent(length: u64, output: &mut Vec<u8>) -> Self {
        output.extend_from_slice(&length.to_be_bytes());
        Self::body(length, false)
    }

    fn body(left: u64, is_dropped: bool) -> Self {
        Self::Body(Body { left, is_dropped, head: Vec::new(), tail: Vec::new() })
    }
}

impl Body {
    fn pass(&mut self, rest: &[u8], room: usize, output: &mut Vec<u8>) -> usize {
        let room = if self.is_dropped { usize::MAX } else { room };
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let bytes = &rest[..rest.len().min(left).min(room)];
        if !self.is_dropped {
            output.extend_from_slice(bytes);
        }
        self.note(bytes);
        self.left -= bytes.len() as u64;
        bytes.len()
    }

    /// Keeps the first and the last bytes.
    fn note(&mut self, bytes: &[u8]) {
        self.head.extend(bytes.iter().take(HEAD_BYTES - self.head.len()));
        let tail = &bytes[bytes.len().saturating_sub(CHARGE_BYTES)..];
        self.tail.drain(..(self.tail.len() + tail.len()).saturating_sub(CHARGE_BYTES));
        self.tail.extend_from_slice(tail);
    }

    /// What the message of this frame was charged, if it is one.
    fn charge(&self) -> Option<Charge> {
        is_charged(&self.head).then(|| Charge::decode(&self.tail)).flatten()
    }
}

/// Whether a frame that begins so is a cast or a call.
fn is_charged(head: &[u8]) -> bool {
    let Some((&FIELD_2, rest)) = head.split_first() else { return false };
    let length_bytes = rest.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    matches!(rest.get(length_bytes), Some(&FIELD_1 | &FIELD_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHARGE: Charge = Charge { process: 3, bytes: 99 };

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u64).to_be_bytes()[..], body].concat()
    }

    /// A message between processes, `kind` 1 for a cast, of `bytes` bytes and our charge.
    fn message(kind: u8, bytes: usize) -> Vec<u8> {
        let content = [vec![7; bytes], CHARGE.encode()].concat();
        let inner = [&[kind << 3 | 2][..], &varint(content.len()), &content].concat();
        [&[FIELD_2][..], &varint(inner.len()), &inner].concat()
    }

    fn varint(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// Passes `input` in pieces of `piece` bytes into rooms of `room` bytes.
    fn pass(input: &[u8], piece: usize, room: usize) -> (Vec<u8>, Passed) {
        let (mut framing, mut output, mut all) = (Framing::new(1000), Vec::new(), Passed::default());
        let mut rest = input;
        while !rest.is_empty() {
            let before = output.len();
            let passed = framing.pass(&rest[..rest.len().min(piece)], room, &mut output);
            assert!(output.len() - before <= room);
            assert!(passed.taken > 0, "stuck with {} bytes", rest.len());
            rest = &rest[passed.taken..];
            all.charges.extend(passed.charges);
            all.dropped.extend(passed.dropped);
        }
        (output, all)
    }

    #[test]
    fn every_frame_passes_however_it_is_cut() {
        let frames = [frame(&message(1, 500)), frame(b"\x0asign in"), frame(&[]), frame(&message(2, 3))];
        for piece in [1, 7, 8, 9, 100, 10_000] {
            for room in [8, 9, 64, 10_000] {
                let (output, passed) = pass(&frames.concat(), piece, room);
                assert!(output == frames.concat(), "{piece} {room}");
                assert_eq!(passed.charges, [CHARGE; 2], "{piece} {room}");
                assert!(passed.dropped.is_empty());
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_dropped_and_its_charge_released() {
        let (small, large) = (frame(&message(1, 10)), frame(&message(1, 1000)));
        let input = [small.as_slice(), &large, &small].concat();
        for piece in [1, 13, 10_000] {
            let (output, passed) = pass(&input, piece, 64);
            assert_eq!(output, [small.as_slice(), &small].concat());
            assert_eq!(passed.dropped, [large.len() as u64 - 8]);
            assert_eq!(passed.charges, [CHARGE; 3]);
        }
    }

    /// A peer that misses such a frame has fewer mirrors than there are processes, and does not know.
    #[test]
    fn what_sessions_say_to_each_other_is_never_dropped() {
        const FIELD_3: u8 = 0x1a;
        let large = frame(&[vec![FIELD_3], vec![7; 5000]].concat());
        let answer = frame(&message(3, 5000));
        let input = [large.as_slice(), &answer, &large].concat();
        for piece in [1, 8, 9, 10_000] {
            for room in [9, 64, 10_000] {
                let (output, passed) = pass(&input, piece, room);
                assert!(output == [large.as_slice(), &large].concat(), "{piece} {room}");
                assert_eq!((passed.dropped, passed.excess), (vec![answer.len() as u64 - 8], None));
            }
        }
    }

    #[test]
    fn a_frame_that_can_neither_be_sent_nor_dropped_is_told() {
        let (mut framing, mut output) = (Framing::new(1000), Vec::new());
        let length = FRAME_BYTES_MAX as u64 + 1;
        let input = [&length.to_be_bytes()[..], &[FIELD_1, 7]].concat();
        assert_eq!(framing.pass(&input, 10_000, &mut output).excess, Some(length));
        assert!(output.is_empty());
    }

    #[test]
    fn only_casts_and_calls_carry_a_charge() {
        for kind in [1, 2] {
            assert_eq!(pass(&frame(&message(kind, 40)), 10_000, 10_000).1.charges, [CHARGE]);
        }
        // An answer, which ends with bytes that somebody else chose.
        assert!(pass(&frame(&message(3, 40)), 10_000, 10_000).1.charges.is_empty());
        assert!(
            pass(&frame(&[vec![FIELD_1, 40], vec![0; 24], CHARGE.encode()].concat()), 99, 99)
                .1
                .charges
                .is_empty()
        );
    }

    #[test]
    fn a_length_waits_until_it_has_room() {
        let (mut framing, mut output) = (Framing::new(1000), Vec::new());
        assert_eq!(framing.pass(&frame(b"abc"), 7, &mut output), Passed::default());
        assert_eq!(framing.pass(&frame(b"abc"), 9, &mut output).taken, 9);
        assert_eq!(output, frame(b"abc")[..9]);
    }
}
