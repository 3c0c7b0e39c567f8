//! One replica of one Raft group.

use std::{
    collections::BTreeSet,
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::{EmptyNode, ServerState, SnapshotPolicy, async_runtime::watch::WatchReceiver};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::{
    arrivals::{Arrivals, Transfer},
    log::Log,
    machine::{Growth, Machine, State, encode_changes},
    network::{Answer, Network, Question},
    responder::Responder,
    sequence::Refusals,
    snapshot::SnapshotData,
    types::{Changes, Raft, ServerNews, Snapshot, encode},
};
use crate::{
    codec,
    consensus::{
        Group, GroupId, Leadership, Observer, Progress, ProposeError, RaftId, Term, Transport, keys::Keys,
    },
    environment::Environment,
    store::{Batch, Pairs, Store, StoreError},
};

/// How a Raft group behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often a leader tells its followers that it is there.
    pub heartbeat: Duration,
    /// A follower that hears nothing for a time between these two starts an election. Keep the lower one well above
    /// [`heartbeat`](Self::heartbeat), or a busy machine deposes its leaders.
    pub election: (Duration, Duration),
    /// After this many applied entries the log is cut. More makes followers catch up without a snapshot.
    pub log_entries_max: u64,
    /// After this many applied bytes the log is cut, however few entries they are.
    pub log_bytes_max: u64,
    /// How many entries stay in the log when it is cut, for followers that are a little behind.
    pub log_entries_kept: u64,
    /// How many bytes of the newest entries stay in memory although they are on disk.
    pub tail_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(200),
            election: (Duration::from_millis(500), Duration::from_millis(1_000)),
            log_entries_max: 10_000,
            log_bytes_max: 32 << 20,
            log_entries_kept: 500,
            tail_bytes_max: 256 << 10,
        }
    }
}

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

/// One replica of one Raft group. A cheap handle.
#[derive(Clone)]
pub struct RaftGroup {
    inner: Arc<Inner>,
}

struct Inner {
    id: GroupId,
    own: RaftId,
    raft: Raft,
    state: State,
    store: Store,
    leadership: watch::Receiver<Leadership>,
    refusals: Arc<Refusals>,
    arrivals: Mutex<Arrivals>,
}

impl RaftGroup {
    /// Starts the replica `own` of `group` from what the store holds. Must be called where consensus may run.
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
        let log = Log::open(store.clone(), group, config.tail_bytes_max).map_err(stored)?;
        let machine = Machine::open(store.clone(), group).await.map_err(stored)?;
        let (state, growth) = (machine.state(), machine.growth());
        let network = Network::new(own, group, transport);
        let start = |reason: String| OpenError::Start { group, reason };
        let raft_config = raft_config(group, config).validate().map_err(|error| start(error.to_string()))?;
        let raft = Raft::new(own.0, Arc::new(raft_config), network, log, machine)
            .await
            .map_err(|error| start(error.to_string()))?;
        let (announce, leadership) = watch::channel(Leadership::Follower { leader: None });
        environment.spawn(announce_leadership(raft.clone(), announce));
        environment.spawn(cut_log(raft.clone(), growth, config.clone()));
        let inner = Inner {
            id: group,
            own,
            raft,
            state,
            store,
            leadership,
            refusals: Arc::default(),
            arrivals: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
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
        let voters: std::collections::BTreeMap<_, _> = voters.collect();
        raft.initialize(voters).await.map_err(|error| failed(error.to_string()))?;
        Ok(true)
    }

    /// Asks for an election now instead of after the timeout; for a group with one voter.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn elect(&self) -> Result<(), OpenError> {
        let elected = self.inner.raft.trigger().elect(false).await;
        elected.map_err(|error| OpenError::Start { group: self.inner.id, reason: error.to_string() })
    }

    /// Hands leadership to `to`. Returns when the request was taken; watch [`Group::leadership`] for the result.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn transfer(&self, to: RaftId) -> Result<(), OpenError> {
        let asked = self.inner.raft.trigger().transfer_leader(to.0).await;
        asked.map_err(|error| OpenError::Start { group: self.inner.id, reason: error.to_string() })
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

    /// Answers a request that another replica sent through its transport.
    pub async fn receive(&self, request: Bytes) -> Bytes {
        let raft = &self.inner.raft;
        match codec::decode::<Question>(&request) {
            Err(error) => encode(&Answer::<()>::Err(error.to_string())),
            Ok(Question::Append(request)) => answer(raft.append_entries(request)).await,
            Ok(Question::Vote(request)) => answer(raft.vote(request)).await,
            Ok(Question::PreVote(request)) => answer(raft.pre_vote(request)).await,
            Ok(Question::Transfer(request)) => answer(raft.handle_transfer_leader(request)).await,
            Ok(Question::SnapshotPairs { transfer, number, pairs }) => {
                answer(self.take_pairs(transfer, number, pairs)).await
            }
            Ok(Question::SnapshotEnd { transfer, meta, sequence, count }) => {
                answer(async {
                    let generation = self.finish_pairs(transfer, count).await?;
                    let snapshot =
                        Snapshot { meta, snapshot: SnapshotData::Received { generation, sequence } };
                    raft.install_full_snapshot(transfer.vote, snapshot)
                        .await
                        .map_err(|error| error.to_string())
                })
                .await
            }
        }
    }

    async fn take_pairs(&self, transfer: Transfer, number: u64, pairs: Pairs) -> Result<(), String> {
        let current = self.inner.state.generation();
        let place = self.inner.arrivals.lock().part(transfer, number, current)?;
        self.remove_abandoned(place.abandoned).await?;
        let keys = Keys::new(self.inner.id);
        let mut batch = Batch::new();
        for (key, value) in pairs {
            batch.put(keys.state_key(place.generation, &key), value);
        }
        self.inner.store.apply(batch).await.map_err(|error| error.to_string())
    }

    async fn finish_pairs(&self, transfer: Transfer, count: u64) -> Result<u32, String> {
        let current = self.inner.state.generation();
        let place = self.inner.arrivals.lock().end(transfer, count, current)?;
        self.remove_abandoned(place.abandoned).await?;
        Ok(place.generation)
    }

    async fn remove_abandoned(&self, generation: Option<u32>) -> Result<(), String> {
        let Some(generation) = generation else { return Ok(()) };
        let range = Keys::new(self.inner.id).generation(generation);
        let removed = self.inner.store.remove_range(&range.start, &range.end).await;
        removed.map(drop).map_err(|error| error.to_string())
    }

    /// Stops the replica. Its leadership, if it had one, ends by timeout.
    pub async fn shutdown(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(group = self.inner.id.0, %error, "a Raft group did not stop in order");
        }
    }

    /// Which replica this is.
    #[must_use]
    pub fn own(&self) -> RaftId {
        self.inner.own
    }

    /// Index of the last applied log entry and of the last purged one, for metrics.
    #[must_use]
    pub fn log_bounds(&self) -> (u64, u64) {
        let metrics = self.inner.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<super::types::LogId>| id.as_ref().map_or(0, |id| id.index());
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
            let read = self.inner.raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await;
            let read = read.map_err(|_| ProposeError::NotCommitted)?;
            match self.inner.raft.as_leader() {
                Ok(leader) if leader.term() == term.0 && read.index() > 0 => Ok(()),
                _ => Err(ProposeError::NotCommitted),
            }
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.state.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.inner.state.scan(from, to, limit)
    }
}

fn raft_config(group: GroupId, config: &Config) -> openraft::Config {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: format!("group-{}", group.0),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: ms(config.election.0),
        election_timeout_max: ms(config.election.1),
        enable_pre_vote: Some(true),
        // Our own task cuts the log, by entries and by bytes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.log_entries_kept,
        purge_batch_size: 1,
        // A leader that starts again would count its proposals from 1 in a term that has them already.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: 10_000,
        replication_lag_threshold: config.log_entries_max,
        ..openraft::Config::default()
    }
}

async fn answer<T: Serialize, E: ToString>(work: impl Future<Output = Result<T, E>>) -> Bytes {
    encode(&work.await.map_err(|error| error.to_string()))
}

/// Publishes leadership. A leader is announced only after the first entry of its term is applied.
async fn announce_leadership(raft: Raft, announce: watch::Sender<Leadership>) {
    let mut metrics = raft.server_metrics();
    loop {
        let (state, term, leader) = {
            let now = metrics.borrow_watched();
            (now.state, now.vote.leader_id.term, now.current_leader)
        };
        let news = match state {
            ServerState::Leader => confirm(&raft, term).await,
            ServerState::Shutdown => Some(Leadership::Stopped),
            _ => Some(Leadership::Follower { leader: leader.map(RaftId) }),
        };
        let changed = news.is_some_and(|news| {
            announce.send_if_modified(|current| std::mem::replace(current, news) != news)
        });
        if changed {
            tracing::debug!(leadership = ?*announce.borrow(), raft = raft.node_id(), "leadership changed");
        }
        let stopped = matches!(*announce.borrow(), Leadership::Stopped);
        if stopped || !next_news(&mut metrics, news.is_none()).await {
            announce.send_replace(Leadership::Stopped);
            return;
        }
    }
}

/// How soon to ask again when a leader could not confirm its leadership, although its state did not change.
const CONFIRM_AGAIN: Duration = Duration::from_millis(50);

/// Waits for a change; `false` when the replica is gone.
async fn next_news(metrics: &mut ServerNews, unconfirmed: bool) -> bool {
    if !unconfirmed {
        return metrics.changed().await.is_ok();
    }
    tokio::time::timeout(CONFIRM_AGAIN, metrics.changed()).await.map_or(true, |changed| changed.is_ok())
}

/// `None` when leadership was lost again before it could be confirmed; the next change of state tells more.
async fn confirm(raft: &Raft, term: u64) -> Option<Leadership> {
    raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await.ok()?;
    let leader = raft.as_leader().ok()?;
    (leader.term() == term).then_some(Leadership::Leader { term: Term(term) })
}

/// Cuts the log when enough was applied since the last time.
async fn cut_log(raft: Raft, growth: Arc<Growth>, config: Config) {
    loop {
        growth.grown.notified().await;
        let entries = growth.entries.load(Ordering::Relaxed);
        let bytes = growth.bytes.load(Ordering::Relaxed);
        if entries < config.log_entries_max && bytes < config.log_bytes_max {
            continue;
        }
        growth.entries.store(0, Ordering::Relaxed);
        growth.bytes.store(0, Ordering::Relaxed);
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

/// A group's news that nobody waits for, such as the end of a fire-and-forget proposal.
impl Observer for () {
    fn progress(&mut self, _: Progress) {}
}

#[cfg(test)]
mod tests;
