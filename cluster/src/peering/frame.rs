//! The bytes of a session: frames, one behind the other.
//!
//! ```text
//! frame     length u32 · kind u8 · body               length counts kind and body; little-endian
//! pushed    kind 0                                    as the sender encoded it
//! request   kind 1 · id u64 · service u8 · body
//! answer    kind 2 · id u64 · status u8 · body        0 answered, 1 refused (text), 2 full
//! ping      kind 3 · Beat                             dialer → acceptor
//! pong      kind 4 · Beat                             acceptor → dialer
//! ```

use bytes::Buf;
use serde::{Deserialize, Serialize};

use crate::{codec, identity::ClusterId};

const LENGTH_BYTES: usize = 4;
/// What stands before each body.
pub(super) const HEAD_BYTES: usize = LENGTH_BYTES + 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Application bytes of a shard lane.
    Pushed = 0,
    /// Wants an answer.
    Request = 1,
    /// Is the answer.
    Answer = 2,
    /// Are you there?
    Ping = 3,
    /// I am here.
    Pong = 4,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub body: &'a [u8],
}

/// Why the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than allowed.
    #[error("a frame of {bytes} bytes, at most {bytes_max} are allowed")]
    Oversized {
        /// What its head says.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// Not a frame, or not one that may come here.
    #[error("garbage: {0}")]
    Garbage(&'static str),
}

/// What a ping and a pong say about their sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Whether the sender gets answers on the control lane that it dialed to the receiver.
    pub hears: bool,
    /// Whether the sender's store takes writes.
    pub store_healthy: bool,
    /// The sender's cluster: it may have joined one since the hello.
    pub cluster_id: Option<ClusterId>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The body is the answer.
    Answered = 0,
    /// The body is a text that tells why not.
    Refused = 1,
    /// The peer has too much to answer.
    Full = 2,
}

/// A request, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Chosen by the sender; comes back with the answer.
    pub id: u64,
    /// For whom.
    pub service: u8,
    /// What.
    pub body: &'a [u8],
}

/// An answer, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Of the request.
    pub id: u64,
    /// How it ended.
    pub status: Status,
    /// The answer, or why there is none.
    pub body: &'a [u8],
}

/// Appends the head of a frame whose body follows. Finish it with [`finish`].
pub(super) fn begin(buffer: &mut Vec<u8>, kind: Kind) {
    buffer.extend([0; LENGTH_BYTES]);
    buffer.push(kind as u8);
}

/// Writes the length of the frame that began at `start` and takes the rest of `buffer`.
pub(super) fn finish(buffer: &mut [u8], start: usize) {
    let length = u32::try_from(buffer.len() - start - LENGTH_BYTES).expect("bounded by frame_bytes_max");
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends what stands before the body of a request.
pub(super) fn put_request(buffer: &mut Vec<u8>, id: u64, service: u8) {
    buffer.extend(id.to_le_bytes());
    buffer.push(service);
}

/// Appends what stands before the body of an answer.
pub(super) fn put_answer(buffer: &mut Vec<u8>, id: u64, status: Status) {
    buffer.extend(id.to_le_bytes());
    buffer.push(status as u8);
}

/// Reads the body of a request.
pub(super) fn request(mut body: &[u8]) -> Result<Request<'_>, FrameError> {
    let id = body.try_get_u64_le().map_err(|_| FrameError::Garbage("a cut request"))?;
    let service = body.try_get_u8().map_err(|_| FrameError::Garbage("a cut request"))?;
    Ok(Request { id, service, body })
}

/// Reads the body of an answer.
pub(super) fn answer(mut body: &[u8]) -> Result<Answer<'_>, FrameError> {
    let id = body.try_get_u64_le().map_err(|_| FrameError::Garbage("a cut answer"))?;
    let status = match body.try_get_u8() {
        Ok(0) => Status::Answered,
        Ok(1) => Status::Refused,
        Ok(2) => Status::Full,
        _ => return Err(FrameError::Garbage("an answer of unknown status")),
    };
    Ok(Answer { id, status, body })
}

/// Reads the body of a ping or pong.
pub(super) fn beat(body: &[u8]) -> Result<Beat, FrameError> {
    codec::decode(body).map_err(|_| FrameError::Garbage("a wrong ping or pong"))
}

/// The complete frames at the beginning of a buffer.
#[derive(Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    body_bytes_max: usize,
    taken: u64,
}

impl<'a> Frames<'a> {
    /// Frames in `bytes` whose body has at most `body_bytes_max` bytes.
    pub(super) fn new(bytes: &'a [u8], body_bytes_max: usize) -> Self {
        Self { rest: bytes, body_bytes_max, taken: 0 }
    }

    /// What was not taken yet: at its beginning an incomplete frame, or nothing.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many frames were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next frame; `None` when it is not complete.
    pub(super) fn take(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        let Some((frame, rest)) = self.peek()? else { return Ok(None) };
        self.rest = rest;
        self.taken += 1;
        Ok(Some(frame))
    }

    /// The body of the next frame, if it is complete and was pushed.
    pub(super) fn take_pushed(&mut self) -> Option<&'a [u8]> {
        match self.peek() {
            Ok(Some((Frame { kind: Kind::Pushed, body }, rest))) => {
                self.rest = rest;
                self.taken += 1;
                Some(body)
            }
            _ => None,
        }
    }

    /// The next frame, and what is behind it.
    #[allow(clippy::type_complexity)] // A frame and the rest.
    fn peek(&self) -> Result<Option<(Frame<'a>, &'a [u8])>, FrameError> {
        let Some((head, behind)) = self.rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length == 0 {
            return Err(FrameError::Garbage("an empty frame"));
        }
        if length - 1 > self.body_bytes_max {
            return Err(FrameError::Oversized { bytes: length - 1, bytes_max: self.body_bytes_max });
        }
        // Known by its first byte: garbage need not be waited for.
        let kind = behind.first().map(|byte| kind(*byte)).transpose()?;
        let (Some(kind), Some((content, rest))) = (kind, behind.split_at_checked(length)) else {
            return Ok(None);
        };
        Ok(Some((Frame { kind, body: &content[1..] }, rest)))
    }
}

fn kind(byte: u8) -> Result<Kind, FrameError> {
    match byte {
        0 => Ok(Kind::Pushed),
        1 => Ok(Kind::Request),
        2 => Ok(Kind::Answer),
        3 => Ok(Kind::Ping),
        4 => Ok(Kind::Pong),
        _ => Err(FrameError::Garbage("a frame of unknown kind")),
    }
}
