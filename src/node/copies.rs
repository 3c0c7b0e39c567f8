//! Copies of shards, each at one point in time, for whoever takes a backup.
//!
//! Comes in: the number of a shard, on any node. Leaves: its state in [parts](Part), from the node that leads it, over the bulk
//! lane. A copy has everything that was acknowledged before it was opened. It stays open on its node until it is closed, or
//! until nobody has asked for a part of it for a while; it ends with its node, and is then opened again.

mod desk;
mod service;

use std::{collections::BTreeMap, fmt, str::FromStr};

use bytes::Bytes;
use futures_util::future::join_all;
use playhouse_cluster::{
    consensus::{LogPosition, RaftId},
    membership::Which,
    peering::ServiceId,
};
use serde::{Deserialize, Serialize};

pub(super) use desk::Desk;

use self::service::{Ask, Told};
use super::cluster::council::Council;
use crate::backup::Part;

/// The service that sends copies to peers.
pub(super) const COPIES: ServiceId = ServiceId(3);

/// A copy that is open somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyId {
    node: RaftId,
    number: u64,
}

/// What a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyHead {
    /// How to ask for its parts.
    pub id: CopyId,
    /// The last log entry that is part of it.
    pub position: LogPosition,
    /// When it was taken, in milliseconds since the Unix epoch, by the clock of its node.
    pub taken_ms: u64,
}

/// There is no copy, or none any more. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no such shard.
    #[error("there is no shard {shard}; there are {shards}")]
    NoSuchShard {
        /// Which.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// Nobody leads it now, as far as can be seen.
    #[error("no node that leads shard {shard} was found: {reason}; ask again when it has a leader")]
    NoLeader {
        /// Which shard.
        shard: u32,
        /// What was seen last.
        reason: String,
    },
    /// The node has as many open copies as it may have.
    #[error("the node has {open} open copies, which is the most; ask again later")]
    Full {
        /// How many.
        open: usize,
    },
    /// It was closed, was not used for too long, or its node has restarted.
    #[error("the copy is not open any more; open another one")]
    Gone,
    /// The node that has it does not answer.
    #[error("the node that has the copy does not answer: {reason}; open another one")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// It cannot be read. The node has logged it.
    #[error(
        "the state of shard {shard} cannot be read on the node with Raft id {:016x}: {reason}; look at the log of that node",
        node.0
    )]
    Unreadable {
        /// Of which shard.
        shard: u32,
        /// Where.
        node: RaftId,
        /// Why.
        reason: String,
    },
    /// The store engine of the node can only copy a point in time as a whole, and the shard has outgrown that.
    #[error(
        "shard {shard} has more than {bytes_max} bytes, which is the most that the store engine of the node with Raft id {:016x} can copy; to ask again does not help. Let nodes with store.engine = fjall lead it",
        node.0
    )]
    TooLarge {
        /// Which shard.
        shard: u32,
        /// Where.
        node: RaftId,
        /// How large it may be there.
        bytes_max: u64,
    },
    /// What the leader has committed it has not applied in time: its disk is slow, or it has much to apply.
    #[error(
        "the node with Raft id {:016x} leads shard {shard}, and has not applied within {waited_ms} ms what it had committed; ask again",
        node.0
    )]
    Behind {
        /// Which shard.
        shard: u32,
        /// Where.
        node: RaftId,
        /// How long it had.
        waited_ms: u64,
    },
}

/// Finds and opens copies wherever their shard is led. A cheap handle.
#[derive(Clone)]
pub(super) struct Copies {
    pub(super) council: Council,
    pub(super) own: RaftId,
    pub(super) desk: Desk,
}

impl Copies {
    /// Opens a copy of a shard at its leader.
    pub(super) async fn open(&self, shard: u32) -> Result<CopyHead, CopyError> {
        let mut reason = "this node is not a member yet".to_owned();
        for node in self.candidates(shard)? {
            let mut asked = node;
            // A replica that does not lead may know who does; what it knows may be old.
            for _ in 0..2 {
                let known = match self.ask(asked, Ask::Open { shard }).await {
                    Ok(Told::Opened(head)) => return Ok(head),
                    Ok(Told::NotLeader { leader }) => leader,
                    Ok(_) => return Err(unexpected()),
                    Err(CopyError::Unreachable { reason: why }) => {
                        reason = why;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                "its replicas name each other, or nobody".clone_into(&mut reason);
                let Some(leader) = known else { break };
                asked = leader;
            }
        }
        Err(CopyError::NoLeader { shard, reason })
    }

    /// The next pairs behind the key `after`; a part without pairs is the end.
    pub(super) async fn read(&self, id: CopyId, after: Option<Bytes>) -> Result<Part, CopyError> {
        match self.ask(id.node, Ask::Read { number: id.number, after }).await? {
            Told::Part(part) => Ok(part),
            _ => Err(unexpected()),
        }
    }

    /// Gives a copy back.
    pub(super) async fn close(&self, id: CopyId) -> Result<(), CopyError> {
        self.ask(id.node, Ask::Close { number: id.number }).await.map(drop)
    }

    /// Keeps copies open that are read later. One that is not open any more is told when it is read.
    pub(super) async fn keep(&self, ids: &[CopyId]) -> Result<(), CopyError> {
        let mut numbers = BTreeMap::<_, Vec<_>>::new();
        ids.iter().for_each(|id| numbers.entry(id.node).or_default().push(id.number));
        let asked = numbers.into_iter().map(|(node, numbers)| self.ask(node, Ask::Keep { numbers }));
        join_all(asked).await.into_iter().try_for_each(|told| told.map(drop))
    }

    /// Its voters, this node first.
    fn candidates(&self, shard: u32) -> Result<Vec<RaftId>, CopyError> {
        let known = self.council.system.known().borrow().clone();
        let Some(state) = known else { return Ok(Vec::new()) };
        let unknown = || CopyError::NoSuchShard { shard, shards: state.shards() };
        let replicas = state.replicas(Which::Shard(shard)).ok_or_else(unknown)?;
        let mut voters: Vec<_> = replicas.voters.iter().copied().collect();
        voters.sort_by_key(|voter| *voter != self.own);
        Ok(voters)
    }

    async fn ask(&self, node: RaftId, ask: Ask) -> Result<Told, CopyError> {
        if node == self.own {
            return self.desk.answer(ask).await;
        }
        let unreachable = || CopyError::Unreachable { reason: "this node has no peers".to_owned() };
        let peering = self.council.peering.as_ref().ok_or_else(unreachable)?;
        service::ask(peering, node, &ask).await
    }
}

fn unexpected() -> CopyError {
    CopyError::Unreachable { reason: "it answered something else".to_owned() }
}

impl fmt::Display for CopyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{:016x}", self.node.0, self.number)
    }
}

/// It is not what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no id of a copy")]
pub struct CopyIdError;

impl FromStr for CopyId {
    type Err = CopyIdError;

    fn from_str(text: &str) -> Result<Self, CopyIdError> {
        let (node, number) = text.split_once('-').ok_or(CopyIdError)?;
        let parse = |text| u64::from_str_radix(text, 16).map_err(|_| CopyIdError);
        Ok(Self { node: RaftId(parse(node)?), number: parse(number)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_shown() {
        let id = CopyId { node: RaftId(u64::MAX), number: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "7", "-", "x-7", "7-"] {
            assert_eq!(text.parse::<CopyId>(), Err(CopyIdError), "{text}");
        }
    }
}
