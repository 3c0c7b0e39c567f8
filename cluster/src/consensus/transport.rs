//! How the bytes of consensus reach another replica.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{GroupId, RaftId};

/// Which of a peer's connections carries a message. No lane blocks another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Votes, log entries, heartbeats.
    Consensus,
    /// Snapshots.
    Bulk,
}

/// A message was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replica {to:?} cannot be reached: {reason}")]
pub struct TransportError {
    /// To whom.
    pub to: RaftId,
    /// Why.
    pub reason: String,
}

/// Moves requests to the replica of `group` at another node, and its answers back.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request`; the future waits for the answer. The caller limits the time, by dropping it.
    ///
    /// The request is on its way when this returns, before the future is polled, and arrives behind the
    /// earlier ones of its lane to that replica, or not at all. The caller sends many before the first answer comes;
    /// answers may come in any order.
    fn send(
        &self,
        to: RaftId,
        group: GroupId,
        lane: Lane,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>>;
}

/// The transport of a node without peers.
#[derive(Clone, Copy, Debug)]
pub struct Isolated;

impl Transport for Isolated {
    fn send(
        &self,
        to: RaftId,
        _: GroupId,
        _: Lane,
        _: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        Box::pin(async move { Err(TransportError { to, reason: "this node has no peers".to_owned() }) })
    }
}
