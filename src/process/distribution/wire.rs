//! The lane under a connection.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use playhouse_cluster::peering::{PushError, Session};

/// Carries frames to one start of one node: in order, at most once, until it closes.
pub(super) trait Wire: Send + Sync + 'static {
    /// Sends a frame now, if there is room.
    fn push(&self, frame: &[u8]) -> Result<(), PushError>;

    /// As `push`, but waits for room. One task sends.
    fn push_when_room<'a>(&'a self, frame: &'a [u8]) -> BoxFuture<'a, Result<(), PushError>>;

    /// The largest frame that both ends take. A larger one is no frame.
    fn frame_bytes_max(&self) -> usize;

    fn close(&self, reason: &str);
}

impl Wire for Arc<Session> {
    fn push(&self, frame: &[u8]) -> Result<(), PushError> {
        Session::push(self, |buffer| buffer.extend_from_slice(frame))
    }

    fn push_when_room<'a>(&'a self, frame: &'a [u8]) -> BoxFuture<'a, Result<(), PushError>> {
        Box::pin(Session::push_when_room(self, |buffer| buffer.extend_from_slice(frame)))
    }

    fn frame_bytes_max(&self) -> usize {
        Session::frame_bytes_max(self)
    }

    fn close(&self, reason: &str) {
        Session::close(self, reason);
    }
}
