//! Who receives what peers send.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Peer, Session};

/// Which service a request is for. Numbers are part of the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u8);

/// Answers requests of peers.
pub trait Service: Send + Sync + 'static {
    /// Takes a request. Called in order of arrival on each lane, from the task that reads it, so it must not block; the
    /// future that it returns runs by itself, also when the session closes meanwhile, and its answer leaves when ready.
    fn receive(&self, from: &Arc<Peer>, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// Takes what was pushed on the shard lanes and on the lanes of processes and of mail, at both ends: the dialer gets what the acceptor
/// pushed and the other way round.
///
/// For each session: `opened` once, then `frames` any number of times, then `closed` once. All are called from the tasks
/// of the link and must not block.
pub trait ShardFrames: Send + Sync + 'static {
    /// Frames can be pushed from now on.
    fn opened(&self, session: &Arc<Session>);

    /// All frames that arrived together, in order. What is not taken from `frames` is lost.
    fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>);

    /// Nothing comes or goes any more.
    fn closed(&self, session: &Arc<Session>);
}
