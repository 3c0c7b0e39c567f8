//! The types that openraft is run with.

use std::{fmt, io};

use bytes::Bytes;
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};

use super::{responder::Responder, sequence::Outcome};
use crate::{codec, store::StoreError};

/// Standard Raft: one leader per term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
type Payload = openraft::EntryPayload<Changes, u64, openraft::EmptyNode>;

impl openraft::RaftTypeConfig for Types {
    type D = Changes;
    type R = Outcome;
    type NodeId = u64;
    type Node = openraft::EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = openraft::impls::Vote<LeaderId>;
    type Payload = Payload;
    type Entry = openraft::Entry<<LeaderId as openraft::vote::RaftLeaderId>::Committed, Payload>;
    type AsyncRuntime = super::runtime::Runtime;
    type Responder<T>
        = Responder<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Membership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<Types, super::snapshot::SnapshotData>;
pub(crate) type ServerNews =
    openraft::alias::WatchReceiverOf<Types, openraft::metrics::RaftServerMetrics<Types>>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Raft = openraft::Raft<Types, super::machine::Machine>;

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// Counts the proposals of a term, from 1; see [`super::sequence`].
    pub(crate) number: u64,
    /// An encoded [`Batch`](crate::store::Batch), see [`super::machine`].
    pub(crate) bytes: Bytes,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal {} of {} bytes", self.number, self.bytes.len())
    }
}

pub(crate) fn io_error(error: StoreError) -> io::Error {
    io::Error::other(error)
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    codec::encode(value).expect("consensus types have known lengths").into()
}

/// As [`encode`], into a buffer for `bytes` that need not grow then.
pub(crate) fn encode_within<T: Serialize>(value: &T, bytes: usize) -> Bytes {
    let buffer = Vec::with_capacity(bytes);
    codec::encode_into(value, buffer).expect("consensus types have known lengths").into()
}

/// About how many bytes entries have when they are encoded, or a few more.
pub(crate) fn weight<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    const OVERHEAD: usize = 64;
    let weight = |entry: &Entry| match &entry.payload {
        EntryPayload::Normal(changes) => changes.bytes.len() + OVERHEAD,
        EntryPayload::Blank | EntryPayload::Membership(_) => OVERHEAD,
    };
    entries.into_iter().map(weight).sum()
}

/// Decodes a stored record. Damage here is not ours to repair: consensus stops.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    codec::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
