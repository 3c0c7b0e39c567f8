//! Consensus over the link.
//!
//! ```text
//! request   group u32, little-endian · what consensus wrote
//! ```

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;

use super::{Lane, Peer, Peering, RequestError, Service, ServiceId};
use crate::consensus::{self, GroupId, RaftId, Transport, TransportError};

/// The service that receives requests of consensus.
pub const CONSENSUS: ServiceId = ServiceId(1);

/// Sends requests of consensus to the other replicas.
#[derive(Clone, Debug)]
pub struct ConsensusTransport {
    peering: Peering,
}

impl ConsensusTransport {
    /// Sends over `peering`.
    #[must_use]
    pub fn new(peering: Peering) -> Self {
        Self { peering }
    }
}

impl Transport for ConsensusTransport {
    fn send(
        &self,
        to: RaftId,
        group: GroupId,
        lane: consensus::Lane,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let lane = match lane {
            consensus::Lane::Consensus => Lane::Consensus,
            consensus::Lane::Bulk => Lane::Bulk,
        };
        let answer = self.peering.request_with(to, lane, CONSENSUS, |buffer| {
            buffer.extend(group.0.to_le_bytes());
            buffer.extend_from_slice(&request);
        });
        Box::pin(async move { answer.await.map_err(|error| transport_error(to, error)) })
    }
}

fn transport_error(to: RaftId, error: RequestError) -> TransportError {
    match error {
        RequestError::Unreachable { to, reason } => TransportError { to, reason },
        other => TransportError { to, reason: other.to_string() },
    }
}

/// Hands requests of consensus to `handler`, which finds the replica of the group.
pub struct ConsensusService<F> {
    handler: F,
}

impl<F> ConsensusService<F>
where
    F: Fn(GroupId, RaftId, Bytes) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync + 'static,
{
    /// Register it as [`CONSENSUS`].
    #[must_use]
    pub fn new(handler: F) -> Self {
        Self { handler }
    }
}

impl<F> Service for ConsensusService<F>
where
    F: Fn(GroupId, RaftId, Bytes) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync + 'static,
{
    fn receive(&self, from: &Arc<Peer>, mut request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        match request.try_get_u32_le() {
            Ok(group) => (self.handler)(GroupId(group), from.raft_id, request),
            Err(_) => Box::pin(std::future::ready(Err("a request of consensus without a group".to_owned()))),
        }
    }
}
