//! What carries frames between two nodes, in order, until it breaks.

/// A frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// The bytes that wait to be sent have reached their bound. Nothing of the frame was taken; try again.
    #[error("the bytes that wait for this peer have reached their bound")]
    Full,
    /// The connection is gone. Nothing of the frame was taken.
    #[error("the connection to this peer is gone")]
    Closed,
    /// The frame is larger than a frame may be. Nothing of it was taken.
    #[error("the message is larger than a frame may be")]
    TooLarge,
}

/// One lane to one peer. It says when it breaks by closing what was made for it.
pub trait Carrier: Send + Sync + 'static {
    /// Appends one frame, which `write` encodes behind what is there already.
    ///
    /// # Errors
    ///
    /// [`CarrierError`].
    fn push(&self, write: &mut dyn FnMut(&mut Vec<u8>)) -> Result<(), CarrierError>;

    /// Ends the connection.
    fn close(&self, reason: &str);
}
