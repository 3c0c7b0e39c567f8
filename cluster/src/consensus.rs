//! Raft groups behind our own small trait.
//!
//! Comes in: batches of changes for one group, proposed for one term. Leaves: their commit, and the news of
//! leadership gained and lost. Followers apply bytes; nobody here knows what they mean.
//!
//! * **A proposal belongs to a term.** It is refused if the node leads in another term by now.
//! * **[`Leadership::Leader`] is announced only after the first entry of the term is applied**, so whoever
//!   sees it may read the group's state.
//! * A proposal ends in one of three ways: committed, [`ProposeError::NotCommitted`] (never happened) or
//!   [`ProposeError::Unknown`] (a later leader may still commit it).

mod keys;
mod raft;
mod tail;
mod transport;

use crate::environment::watch;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::store::{Batch, Pairs, StoreError};

pub use raft::{
    ChangeError, Config, LogPosition, OpenError, PointInTime, RaftGroup, Recovery, Replicas, Replication,
    Restoration, Survivor, TransferError,
};
pub use transport::{Isolated, Lane, Transport, TransportError};

/// A Raft group: shard number, or the system group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u32);

/// The identity of a replica in Raft: drawn at random with the volume, never used again with an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RaftId(pub u64);

/// A leadership: counts up with each election of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(pub u64);

/// Who leads a group, as this node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This node leads in `term`, and the first entry of that term is applied here.
    Leader {
        /// The term for which proposals are accepted.
        term: Term,
    },
    /// Another node leads, or nobody that this node knows.
    Follower {
        /// The leader, if known.
        leader: Option<RaftId>,
    },
    /// This replica stopped for good: its store failed, or it was shut down.
    Stopped,
}

/// Why a proposal was not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Refused before it was appended, because of the term or its size, or skipped because the proposal before it was. None
    /// of its changes exist, now or later.
    #[error("not the leader of that term, too large, or behind a refused proposal; nothing was changed")]
    NotCommitted,
    /// Appended here, then leadership moved or the replica stopped: a later leader may still commit it.
    #[error("outcome unknown; a later leader may still commit it")]
    Unknown,
}

/// What a proposal tells of its way, in this order: [`Committed`](Self::Committed), then [`Applied`](Self::Applied);
/// or [`Failed`](Self::Failed) alone, or after nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A majority has it on disk. It is never lost, and whoever waits for it may be answered.
    Committed,
    /// Its changes are visible to [`Group::get`] and [`Group::scan`].
    Applied,
    /// It was not committed, or nobody knows.
    Failed(ProposeError),
}

/// Hears how a proposal goes. Called from consensus, so it must not block.
pub trait Observer: Send + 'static {
    /// The next step of the proposal.
    fn progress(&mut self, progress: Progress);
}

/// One replica of one Raft group, as its user sees it.
pub trait Group: Send + Sync + 'static {
    /// Which group this is.
    fn id(&self) -> GroupId;

    /// News of leadership; the current value is always there.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Appends `changes` if this node leads in `term`. Returns when consensus has taken it over; proposals
    /// of one caller keep their order. `observer` hears the outcome, exactly one of committed and failed.
    ///
    /// `number` counts the proposals of a term: 1, 2, 3, … A proposal takes effect only if the one before it did, so
    /// when one ends as [`ProposeError::NotCommitted`], all later ones of the term do.
    fn propose(
        &self,
        term: Term,
        number: u64,
        changes: Batch,
        observer: Box<dyn Observer>,
    ) -> BoxFuture<'_, ()>;

    /// Returns when this node was certainly still the leader of `term` after the call began. What was committed before is in the
    /// log here, and may not be applied yet.
    fn read_barrier(&self, term: Term) -> BoxFuture<'_, Result<(), ProposeError>>;

    /// The applied value of `key`. May read the disk.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Up to `limit` applied pairs with `from <= key < to`, ascending. May read the disk.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError>;
}
