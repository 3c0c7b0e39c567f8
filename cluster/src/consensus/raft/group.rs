//! One replica of one Raft group.

mod abdication;
mod barrier;
mod change;
mod config;
mod cutter;
mod leadership;
mod receive;
mod replicas;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use crate::environment::watch;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::{EmptyNode, async_runtime::watch::WatchReceiver};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::{
    arrivals::Arrivals,
    grave::Grave,
    growth::Growth,
    log::Log,
    machine::{Applied, Machine, State, encode_changes},
    point_in_time::{PointInTime, stored},
    responder::Responder,
    sequence::Refusals,
    types::{Changes, LogId, Raft},
    way::Network,
};
use crate::{
    consensus::{Group, GroupId, Leadership, Observer, Progress, ProposeError, RaftId, Term, Transport},
    environment::Environment,
    store::{Batch, Pairs, Store, StoreError},
};

use abdication::Abdication;
use barrier::Barrier;
use cutter::Cutter;

pub use change::{ChangeError, TransferError};
pub use config::Config;
pub use replicas::{Replicas, Replication};

/// The replica did not start. Nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What is stored cannot be read.
    #[error("could not read the log or state of group {group:?}")]
    Stored {
        /// Which group.
        group: GroupId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// openraft refused.
    #[error("could not start group {group:?}: {reason}")]
    Start {
        /// Which group.
        group: GroupId,
        /// Why.
        reason: String,
    },
}

impl OpenError {
    /// What the store said, if it is to blame.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Stored { source, .. } => source.get_ref()?.downcast_ref(),
            Self::Start { .. } => None,
        }
    }
}

/// One replica of one Raft group. A cheap handle.
#[derive(Clone)]
pub struct RaftGroup {
    inner: Arc<Inner>,
}

struct Inner {
    id: GroupId,
    own: RaftId,
    config: Config,
    environment: Environment,
    raft: Raft,
    /// Given back when the replica is shut down, however long others hold this handle: the volume must be free then.
    state: RwLock<Option<State>>,
    leadership: watch::Receiver<Leadership>,
    replicas: watch::Receiver<Replicas>,
    barrier: Barrier,
    applied: watch::Receiver<u64>,
    refusals: Arc<Refusals>,
    arrivals: Mutex<Arrivals>,
    /// The last entry that this replica had in an earlier life.
    promised: Option<LogId>,
    arriving_bytes: AtomicUsize,
    /// When a leader was last followed.
    leader_heard: Mutex<Option<Instant>>,
}

/// How long what was committed may take to be applied when a replica is shut down.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

impl Inner {
    fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.state.read().as_ref().map(look).ok_or_else(|| StoreError::closed("the replica was shut down"))
    }

    fn state(&self) -> Result<State, StoreError> {
        self.with_state(State::clone)
    }
}

impl RaftGroup {
    /// Starts the replica `own` of `group` from what the store holds. Must be called where consensus may run.
    ///
    /// A replica that the store does not know waits to be told of the group: by [`found`](Self::found), or by a
    /// leader that [adds](Self::add_learner) it. It starts no election before.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(
        group: GroupId,
        own: RaftId,
        store: Store,
        transport: Arc<dyn Transport>,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, OpenError> {
        let stored = |source| OpenError::Stored { group, source };
        let grave = Grave::visit(&store, group).await.map_err(stored)?;
        let log = Log::open(store.clone(), group, config.tail_bytes_max, grave.vote).map_err(stored)?;
        let growth = Arc::new(Growth::new(config.log_entries_max, config.log_bytes_max));
        let machine = Machine::open(store.clone(), group, growth.clone()).await.map_err(stored)?;
        let (state, applied) = (machine.state(), machine.news());
        environment.spawn_vital("writer of a state machine", machine.writing());
        let (floor, followers_floor) = watch::channel(0);
        let network = Network::new(own, group, transport, config, followers_floor);
        let (sending, ways) = (network.sending.clone(), network.clone());
        let start = |reason: String| OpenError::Start { group, reason };
        let raft_config =
            config::raft_config(group, config).validate().map_err(|error| start(error.to_string()))?;
        let raft = Raft::new(own.0, Arc::new(raft_config), network, log, machine);
        let raft = environment.scope(raft).await.map_err(|error| start(error.to_string()))?;
        let (announce, leadership) = watch::channel(Leadership::Follower { leader: None });
        let announcer = leadership::announce_leadership(raft.clone(), announce);
        environment.spawn_vital("news of a leadership", announcer);
        let known = replicas::current(&raft).await.map_err(|error| start(error.to_string()))?;
        let (announce, replicas) = watch::channel(known);
        environment.spawn_vital("news of replicas", replicas::announce_replicas(raft.clone(), announce));
        let cutter = Cutter { raft: raft.clone(), growth, sending, floor, kept: config.log_entries_kept };
        environment.spawn_vital("cutter of a log", cutter.run());
        let (own_raft, known) = (raft.clone(), replicas.clone());
        let barrier = Barrier::new(ways, raft.clone(), environment.clone());
        let abdication = Abdication { raft: own_raft, own, replicas: known, after: config.resign_after };
        environment.spawn_vital("abdication", abdication.run());
        let inner = Inner {
            id: group,
            own,
            config: config.clone(),
            environment: environment.clone(),
            raft,
            state: RwLock::new(Some(state)),
            leadership,
            barrier,
            replicas,
            applied,
            refusals: Arc::default(),
            arrivals: Mutex::default(),
            promised: grave.last,
            arriving_bytes: AtomicUsize::new(0),
            leader_heard: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether `store` holds a replica of `group`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn has_group(store: &Store, group: GroupId) -> Result<bool, OpenError> {
        Grave::is_needed(store, group).map_err(|source| OpenError::Stored { group, source })
    }

    /// Removes the replica of `group` from `store`, durably. Only for a replica that was [shut down](Self::shutdown)
    /// and that a *committed* configuration leaves out. What was interrupted is finished by the next call, or by
    /// [`open`](Self::open).
    ///
    /// A few bytes stay: what the replica promised about votes binds it if it joins the group again.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written; something may be left then.
    pub async fn destroy(store: &Store, group: GroupId) -> Result<(), OpenError> {
        let failed = |source| OpenError::Stored { group, source };
        if !Self::has_group(store, group)? {
            return Ok(());
        }
        let log = Log::open(store.clone(), group, 0, None).map_err(failed)?;
        let applied = Applied::read(store, group).map_err(failed)?;
        Grave::dig(store, group, log.vote(), log.last().max(applied.last)).await.map_err(failed)
    }

    /// Founds the group with these voters, if it has none yet; then it elects a leader at once. Exactly one replica may
    /// be told to. `false` when the group was founded before.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn found(&self, voters: &BTreeSet<RaftId>) -> Result<bool, OpenError> {
        let failed = |reason: String| OpenError::Start { group: self.inner.id, reason };
        let raft = &self.inner.raft;
        if raft.is_initialized().await.map_err(|error| failed(error.to_string()))? {
            return Ok(false);
        }
        let voters = voters.iter().map(|id| (id.0, EmptyNode {}));
        let voters: BTreeMap<_, _> = voters.collect();
        raft.initialize(voters).await.map_err(|error| failed(error.to_string()))?;
        Ok(true)
    }

    /// Asks for an election now instead of after the timeout: for a group with one voter, or for a leader that needs
    /// another term. A leader gives its term up; it may win the next one.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn elect(&self) -> Result<(), OpenError> {
        let elected = leadership::elect(&self.inner.raft).await;
        elected.map_err(|error| OpenError::Start { group: self.inner.id, reason: error.to_string() })
    }

    /// Cuts the log now.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn snapshot(&self) -> Result<(), OpenError> {
        let asked = self.inner.raft.trigger().snapshot().await;
        asked.map_err(|error| OpenError::Start { group: self.inner.id, reason: error.to_string() })
    }

    /// Stops the replica. Its leadership, if it had one, ends by timeout. `false`: it has not stopped after ten seconds, because its volume
    /// does not answer or is full, and may still write; nothing of it may be removed.
    pub async fn shutdown(&self) -> bool {
        if let Ok(state) = self.inner.state() {
            state.stop();
        }
        let mut news = self.inner.applied.clone();
        let over = async {
            if let Err(error) = self.inner.raft.shutdown().await {
                tracing::warn!(group = self.inner.id.0, %error, "a Raft group did not stop in order");
            }
            // openraft does not wait for its state machine, which may still apply what it has queued. Its end is the end of its news.
            while news.changed().await.is_ok() {}
        };
        let has_stopped = tokio::time::timeout(STOPPED_WITHIN, over).await.is_ok();
        if !has_stopped {
            tracing::warn!(group = self.inner.id.0, "a Raft group did not stop in time");
        }
        drop(self.inner.state.write().take());
        has_stopped
    }

    /// Returns when everything that was committed before the call began is applied here, or after `limit`. Behind a [read
    /// barrier](Group::read_barrier) that is everything that anybody was told of. `false`: it is not, or consensus stopped.
    pub async fn caught_up(&self, limit: Duration) -> bool {
        let waited = tokio::time::timeout(limit, async {
            // A commit is told before it is applied, and what is to be applied may wait behind a sync.
            let committed =
                self.inner.raft.with_raft_state(|state| state.local_committed().map(LogId::index));
            let Ok(committed) = committed.await else { return false };
            let mut applied = self.inner.applied.clone();
            applied.wait_for(|applied| *applied >= committed.unwrap_or(0)).await.is_ok()
        });
        waited.await.unwrap_or(false)
    }

    /// The applied state as it is now; see [`caught_up`](Self::caught_up).
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or the engine has no views and the state is too large to be copied.
    pub fn point_in_time(&self) -> Result<PointInTime, OpenError> {
        let group = self.inner.id;
        let state = self.inner.state().map_err(stored(group))?;
        state.source().take().map(PointInTime::new).map_err(stored(group))
    }

    /// Which replica this is.
    #[must_use]
    pub fn own(&self) -> RaftId {
        self.inner.own
    }

    /// News of the index of the last applied entry; the current value is always there.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied.clone()
    }

    /// Index of the last applied log entry and of the last purged one, for metrics.
    #[must_use]
    pub fn log_bounds(&self) -> (u64, u64) {
        let metrics = self.inner.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<LogId>| id.as_ref().map_or(0, |id| id.index());
        (index(&metrics.last_applied), index(&metrics.purged))
    }
}

impl Group for RaftGroup {
    fn id(&self) -> GroupId {
        self.inner.id
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    fn propose(
        &self,
        term: Term,
        number: u64,
        changes: Batch,
        observer: Box<dyn Observer>,
    ) -> BoxFuture<'_, ()> {
        let changes = Changes { number, bytes: encode_changes(&changes) };
        self.inner.refusals.proposing(term.0, number);
        let responder = Responder::new(term.0, Arc::clone(&self.inner.refusals), observer);
        if changes.bytes.len() > self.inner.config.proposal_bytes_max {
            let (bytes, bytes_max) = (changes.bytes.len(), self.inner.config.proposal_bytes_max);
            tracing::error!(
                group = self.inner.id.0,
                bytes,
                bytes_max,
                "a proposal is too large to be sent to another replica"
            );
            responder.refuse();
            return Box::pin(std::future::ready(()));
        }
        let write = self.inner.raft.write(changes).with_leader(term.0).responder(responder);
        Box::pin(async move {
            if let Err(error) = write.await {
                // The responder was dropped, so the observer knows.
                tracing::debug!(group = self.inner.id.0, %error, "a proposal met a stopped replica");
            }
        })
    }

    fn read_barrier(&self, term: Term) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async move {
            if self.leads_in(term) && self.inner.barrier.pass(term).await && self.leads_in(term) {
                return Ok(());
            }
            Err(ProposeError::NotCommitted)
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.with_state(|state| state.get(key))?
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.inner.with_state(|state| state.scan(from, to, limit))?
    }
}

/// A group's news that nobody waits for, such as the end of a fire-and-forget proposal.
impl Observer for () {
    fn progress(&mut self, _: Progress) {}
}

#[cfg(test)]
mod tests;
