//! What two nodes tell each other before anything else, and why one may refuse the other.
//!
//! ```text
//! hello     magic "PLHO" · oldest protocol u16 · newest protocol u16 · body      dialer → acceptor
//! reply     the same head                                           · Reply     acceptor → dialer
//! verdict                                                             Verdict   dialer → acceptor
//! ```
//!
//! The head never changes, so that releases without a common protocol can still say so. Numbers are little-endian; the rest
//! is in the codec of frames. All of it is sealed by Noise, also when the link is plain afterwards.

use serde::{Deserialize, Serialize};

use super::{Encryption, Lane, Local, Peer};
use crate::{
    codec,
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

const MAGIC: [u8; 4] = *b"PLHO";
const HEAD_BYTES: usize = 8;
const TEXT_BYTES_MAX: usize = 253;

/// The protocols that a release speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Protocols {
    /// What this release speaks. Neighbouring releases must overlap.
    pub const OURS: Self = Self { oldest: 1, newest: 1 };

    /// The newest that both speak.
    pub(super) fn agree(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What a node says about itself and about the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Which connection this is to be.
    pub lane: Lane,
    /// Whether this end insists on encryption.
    pub is_encrypted: bool,
    /// The largest frame that this end reads.
    pub frame_bytes_max: u32,
    /// The cluster that it belongs to, if any.
    pub cluster_id: Option<ClusterId>,
    /// Its name.
    pub name: String,
    /// Its identity in Raft.
    pub raft_id: RaftId,
    /// Its start.
    pub incarnation: Incarnation,
    /// Its release.
    pub release: String,
    /// Its zone.
    pub zone: String,
    /// Its track.
    pub track: String,
    /// The number of shards that it was told.
    pub shards: u32,
}

/// Why a node does not talk to another. Told to the other inside the encrypted channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Both belong to a cluster, and not to the same.
    #[error("this node belongs to cluster {here}, not to {there}")]
    OtherCluster {
        /// The cluster of who refuses.
        here: ClusterId,
        /// The cluster of who is refused.
        there: ClusterId,
    },
    /// The numbers of shards differ.
    #[error("this node has {here} shards, not {there}")]
    OtherShards {
        /// Of who refuses.
        here: u32,
        /// Of who is refused.
        there: u32,
    },
    /// No protocol is spoken by both.
    #[error("no common protocol: this node speaks {oldest} to {newest}")]
    NoCommonProtocol {
        /// The oldest that is spoken by who refuses.
        oldest: u16,
        /// The newest that is spoken by who refuses.
        newest: u16,
    },
    /// A later start of the same node is known.
    #[error("a newer incarnation of that node is known, {}", newest.0)]
    OldIncarnation {
        /// The one that is known.
        newest: Incarnation,
    },
    /// The node dialed itself.
    #[error("this is the same node")]
    Myself,
    /// The other says to have our Raft id, with another incarnation: a copied volume, or our own earlier process.
    #[error("that Raft id is this node's")]
    RaftIdInUse,
    /// A lane was dialed without a control lane.
    #[error("there is no control lane of that node")]
    NoControlLane,
    /// A lane was dialed, and somebody else answered than on the control lane.
    #[error("another node than on the control lane")]
    OtherPeer,
    /// The peer is connected by another address.
    #[error("already connected")]
    AlreadyConnected,
    /// `sessions_max` or `peers_max` is reached.
    #[error("too many sessions or peers")]
    Full,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
    /// The node does not take that lane, or not from this side.
    #[error("that lane is not taken here")]
    NoSuchLane,
}

/// A [`Refusal`] without its details, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The variants are those of `Refusal`.
pub enum RefusalKind {
    OtherCluster,
    OtherShards,
    NoCommonProtocol,
    OldIncarnation,
    Myself,
    RaftIdInUse,
    NoControlLane,
    OtherPeer,
    AlreadyConnected,
    Full,
    Stopping,
    NoSuchLane,
}

impl RefusalKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OtherCluster,
        Self::OtherShards,
        Self::NoCommonProtocol,
        Self::OldIncarnation,
        Self::Myself,
        Self::RaftIdInUse,
        Self::NoControlLane,
        Self::OtherPeer,
        Self::AlreadyConnected,
        Self::Full,
        Self::Stopping,
        Self::NoSuchLane,
    ];

    /// As it is written in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherCluster => "other_cluster",
            Self::OtherShards => "other_shards",
            Self::NoCommonProtocol => "no_common_protocol",
            Self::OldIncarnation => "old_incarnation",
            Self::Myself => "myself",
            Self::RaftIdInUse => "raft_id_in_use",
            Self::NoControlLane => "no_control_lane",
            Self::OtherPeer => "other_peer",
            Self::AlreadyConnected => "already_connected",
            Self::Full => "full",
            Self::Stopping => "stopping",
            Self::NoSuchLane => "no_such_lane",
        }
    }
}

impl Refusal {
    /// What it is counted as.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::OtherCluster { .. } => RefusalKind::OtherCluster,
            Self::OtherShards { .. } => RefusalKind::OtherShards,
            Self::NoCommonProtocol { .. } => RefusalKind::NoCommonProtocol,
            Self::OldIncarnation { .. } => RefusalKind::OldIncarnation,
            Self::Myself => RefusalKind::Myself,
            Self::RaftIdInUse => RefusalKind::RaftIdInUse,
            Self::NoControlLane => RefusalKind::NoControlLane,
            Self::OtherPeer => RefusalKind::OtherPeer,
            Self::AlreadyConnected => RefusalKind::AlreadyConnected,
            Self::Full => RefusalKind::Full,
            Self::Stopping => RefusalKind::Stopping,
            Self::NoSuchLane => RefusalKind::NoSuchLane,
        }
    }
}

/// What the acceptor says to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Come in; this is who I am.
    Welcome(Hello),
    /// Go away.
    Refused(Refusal),
}

/// What the dialer says to a welcome. Only then the acceptor opens the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The session is open.
    Confirmed,
    /// The acceptor is not who was looked for.
    Refused(Refusal),
}

/// The bytes are no message of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hello: {0}")]
pub struct HelloError(pub &'static str);

impl Hello {
    /// What this node says on `lane`.
    pub(super) fn of(
        local: &Local,
        cluster_id: Option<ClusterId>,
        lane: Lane,
        limits: (Encryption, usize),
    ) -> Self {
        Self {
            lane,
            is_encrypted: limits.0 == Encryption::On,
            frame_bytes_max: u32::try_from(limits.1).unwrap_or(u32::MAX),
            cluster_id,
            name: local.name.clone(),
            raft_id: local.raft_id,
            incarnation: local.incarnation,
            release: local.release.clone(),
            zone: local.zone.clone(),
            track: local.track.clone(),
            shards: local.shards,
        }
    }

    /// Who said it, once a protocol is agreed.
    pub(super) fn peer(&self, protocol: u16) -> Peer {
        Peer {
            name: self.name.clone(),
            raft_id: self.raft_id,
            incarnation: self.incarnation,
            release: self.release.clone(),
            zone: self.zone.clone(),
            track: self.track.clone(),
            cluster_id: self.cluster_id,
            protocol,
        }
    }

    /// Texts end up in logs and metrics, so they are short and one line each.
    pub(super) fn check(&self) -> Result<(), HelloError> {
        let texts = [&self.name, &self.release, &self.zone, &self.track];
        if self.name.is_empty() {
            return Err(HelloError("the name is empty"));
        }
        if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(HelloError("a text is too long"));
        }
        if texts.iter().any(|text| text.contains(char::is_control)) {
            return Err(HelloError("a text has control characters"));
        }
        Ok(())
    }
}

/// Puts the head before `body`.
pub(super) fn encode<T: Serialize>(protocols: Protocols, body: &T) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(protocols.oldest.to_le_bytes());
    bytes.extend(protocols.newest.to_le_bytes());
    codec::encode_into(body, bytes).expect("messages of the handshake can be encoded")
}

/// Reads the head; what follows it means something only if a protocol is agreed.
pub(super) fn split(bytes: &[u8]) -> Result<(Protocols, &[u8]), HelloError> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES).ok_or(HelloError("cut off"))?;
    if head[..4] != MAGIC {
        return Err(HelloError("wrong magic"));
    }
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let protocols = Protocols { oldest: number(4), newest: number(6) };
    Ok((protocols, body))
}

/// Reads the body of a hello.
pub(super) fn decode_hello(body: &[u8]) -> Result<Hello, HelloError> {
    let hello: Hello = codec::decode(body).map_err(|_| HelloError("wrong body"))?;
    hello.check()?;
    Ok(hello)
}

/// Reads the body of a reply.
pub(super) fn decode_reply(body: &[u8]) -> Result<Reply, HelloError> {
    let reply: Reply = codec::decode(body).map_err(|_| HelloError("wrong reply"))?;
    if let Reply::Welcome(hello) = &reply {
        hello.check()?;
    }
    Ok(reply)
}

/// Reads a verdict.
pub(super) fn decode_verdict(bytes: &[u8]) -> Result<Verdict, HelloError> {
    codec::decode(bytes).map_err(|_| HelloError("wrong verdict"))
}
