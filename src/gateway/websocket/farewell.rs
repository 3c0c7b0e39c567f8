//! Why the server closes a connection.

use axum::extract::ws::{CloseFrame, Message, close_code};

/// The last thing that the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The client said goodbye, or its socket broke. There is nobody to tell.
    Gone,
    /// The node drains, and everything under way is answered.
    Draining,
    /// The client does not read.
    Stalled,
    /// A frame is over the limit.
    TooLarge,
    /// The client has been silent for too long.
    Silent,
    /// What arrives is not WebSocket.
    Garbled,
}

impl Farewell {
    /// The close frame, if there is somebody to read it.
    pub(super) fn message(self) -> Option<Message> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::Draining => (close_code::AWAY, "the node is draining; connect again"),
            Self::Stalled => (close_code::AGAIN, "messages were not read in time"),
            Self::TooLarge => (close_code::SIZE, "the frame is over the limit"),
            Self::Silent => (close_code::POLICY, "no answer to a ping"),
            Self::Garbled => (close_code::PROTOCOL, "not a WebSocket frame"),
        };
        Some(Message::Close(Some(CloseFrame { code, reason: reason.into() })))
    }
}
