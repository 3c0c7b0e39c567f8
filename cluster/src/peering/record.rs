//! Seals the stream of frames into Noise messages, and opens them again.
//!
//! ```text
//! record    length u16, big-endian · Noise message of at most 65,535 bytes
//! ```
//!
//! Records know nothing of frames: a large frame spans several, a small record may hold many frames.

use std::sync::Arc;

use snow::StatelessTransportState;

use super::{handshake::TAG_BYTES, window::Window};

const LENGTH_BYTES: usize = 2;
const MESSAGE_BYTES_MAX: usize = 65_535;
/// The most that one record carries.
pub(super) const PLAIN_BYTES_MAX: usize = MESSAGE_BYTES_MAX - TAG_BYTES;

/// The bytes are not what the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record that cannot be opened")]
pub struct RecordError;

/// Seals what leaves.
pub(super) struct Sealer {
    noise: Arc<StatelessTransportState>,
    number: u64,
}

impl Sealer {
    pub(super) fn new(noise: Arc<StatelessTransportState>, number: u64) -> Self {
        Self { noise, number }
    }

    /// Makes as many records of `plain` as it needs, in `buffer`, which only grows: clearing it each time would cost.
    pub(super) fn seal<'a>(&mut self, plain: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
        let bytes = plain.len() + plain.len().div_ceil(PLAIN_BYTES_MAX) * (LENGTH_BYTES + TAG_BYTES);
        if buffer.len() < bytes {
            buffer.resize(bytes, 0);
        }
        let mut rest = &mut buffer[..bytes];
        for piece in plain.chunks(PLAIN_BYTES_MAX) {
            let length = piece.len() + TAG_BYTES;
            let (head, behind) = rest.split_at_mut(LENGTH_BYTES);
            let (message, behind) = behind.split_at_mut(length);
            head.copy_from_slice(&u16::try_from(length).expect("a piece is short enough").to_be_bytes());
            self.noise.write_message(self.number, piece, message).expect("the sizes are right");
            self.number += 1;
            rest = behind;
        }
        &buffer[..bytes]
    }
}

/// Opens what arrives.
pub(super) struct Opener {
    noise: Arc<StatelessTransportState>,
    number: u64,
}

impl Opener {
    pub(super) fn new(noise: Arc<StatelessTransportState>, number: u64) -> Self {
        Self { noise, number }
    }

    /// Moves all complete records of `sealed` to `plain`, opened.
    pub(super) fn open(&mut self, sealed: &mut Window, plain: &mut Window) -> Result<(), RecordError> {
        while let Some((head, behind)) = sealed.bytes().split_first_chunk::<LENGTH_BYTES>() {
            let length = usize::from(u16::from_be_bytes(*head));
            if length <= TAG_BYTES {
                return Err(RecordError);
            }
            let Some(message) = behind.get(..length) else { break };
            let opened = self.noise.read_message(self.number, message, plain.space(length));
            plain.filled(opened.map_err(|_| RecordError)?);
            sealed.consume(LENGTH_BYTES + length);
            self.number += 1;
        }
        Ok(())
    }
}
