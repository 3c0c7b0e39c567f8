//! The system group: one Raft group that holds the configuration of the cluster under one key.
//!
//! Its leader decides commands by [`ClusterState::decide_all`]: up to 256 that wait become one proposal (`desk`). Every member has a
//! replica, so every member knows the configuration, a little late, and tells each of its groups what concerns it (`news`).

mod desk;
mod news;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use playhouse_cluster::{
    consensus::{self, Group, GroupId, Leadership, RaftGroup, RaftId, Transport},
    environment::{Environment, watch},
    membership::{ClusterState, Command, FormatError, Refusal, Which},
    store::Store,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, oneshot};

use self::{
    desk::{ASKED_WITHIN, Desk, WAITING_MAX, Waiting},
    news::News,
};
use crate::node::StartError;

/// The Raft group that holds the configuration.
pub(in crate::node) const SYSTEM: GroupId = GroupId(u32::MAX);
/// The key under which it lies.
pub(in crate::node) const KEY: &[u8] = b"cluster";

/// What every member knows of the cluster. `None` until it has read any of it.
pub(in crate::node) type Known = Option<Arc<ClusterState>>;

/// The replica of the system group on this node. A cheap handle.
#[derive(Clone)]
pub(in crate::node) struct System {
    inner: Arc<Inner>,
}

struct Inner {
    group: RaftGroup,
    environment: Environment,
    known: watch::Sender<Known>,
    news: News,
    /// What was read last, and its bytes: most looks find what the one before found.
    last_read: parking_lot::Mutex<Option<(Bytes, Arc<ClusterState>)>>,
    /// Commands that are not decided yet.
    waiting: mpsc::Sender<Waiting>,
    /// Whoever proposes sits here.
    desk: Mutex<Desk>,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(in crate::node) enum ExecuteError {
    /// Nothing changed.
    #[error("{0}")]
    Refused(Refusal),
    /// Nothing changed here; ask the leader.
    #[error("this node does not lead the system group")]
    NotLeader {
        /// Who does, if known.
        leader: Option<RaftId>,
    },
    /// It may or may not have happened. Asking again is safe.
    #[error("it is not known whether it was committed: {0}")]
    Unknown(String),
    /// Nothing changed; the leader has enough to do. Ask again.
    #[error("the leader of the system group has too many commands to decide, or its disk is slow")]
    Busy,
}

impl System {
    /// Opens the replica with what the volume holds.
    pub(in crate::node) async fn open(
        own: RaftId,
        store: &Store,
        transport: Arc<dyn Transport>,
        config: &consensus::Config,
        environment: &Environment,
    ) -> Result<Self, StartError> {
        // All nodes act on what is committed here.
        let config = consensus::Config { commits_held: Duration::ZERO, ..config.clone() };
        let group = RaftGroup::open(SYSTEM, own, store.clone(), transport, &config, environment).await?;
        let (waiting, commands) = mpsc::channel(WAITING_MAX);
        let inner = Inner {
            group,
            environment: environment.clone(),
            known: watch::channel(None).0,
            news: News::default(),
            last_read: parking_lot::Mutex::default(),
            waiting,
            desk: Mutex::default(),
        };
        let system = Self { inner: Arc::new(inner) };
        system.read()?;
        let (inner, applied) = (Arc::downgrade(&system.inner), system.inner.group.applied());
        environment.spawn_vital("reader of the configuration", follow(inner.clone(), applied));
        environment.spawn_vital("desk of the system group", desk::run(inner, commands));
        Ok(system)
    }

    /// Founds the group with this node as its only voter, and `state` as what it holds. Again: nothing.
    pub(in crate::node) async fn found(&self, state: &ClusterState) -> Result<(), StartError> {
        if !self.inner.group.found(&BTreeSet::from([self.inner.group.own()])).await? {
            self.inner.group.elect().await?;
        }
        let mut leadership = self.inner.group.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if let Leadership::Leader { term } = now {
                let mut desk = self.inner.desk.lock().await;
                if self.read()?.is_some() {
                    return Ok(());
                }
                if self.replace(&mut desk, term, &Arc::new(state.clone())).await.is_ok() {
                    return Ok(());
                }
                self.end_broken_term(&desk).await;
            }
            if leadership.changed().await.is_err() {
                return Err(StartError::Fatal { reason: "the system group stopped".to_owned() });
            }
        }
    }

    /// Whether no other replica votes, as far as this one knows.
    pub(in crate::node) fn is_alone(&self) -> bool {
        let replicas = self.inner.group.replicas().borrow().clone();
        replicas.voters.iter().all(|voter| *voter == self.inner.group.own())
    }

    /// The Raft group.
    pub(in crate::node) fn group(&self) -> &RaftGroup {
        &self.inner.group
    }

    /// What this node knows of the cluster.
    pub(in crate::node) fn known(&self) -> watch::Receiver<Known> {
        self.inner.known.subscribe()
    }

    /// Tells when something changed that concerns this group: its entry on the map, or any member.
    pub(in crate::node) fn news_of(&self, which: Which) -> watch::Receiver<()> {
        self.inner.news.of(which)
    }

    /// Carries a command out, if this node leads the group. Returns the revision of the configuration after it.
    pub(in crate::node) async fn execute(&self, command: &Command) -> Result<u64, ExecuteError> {
        let (answer, answered) = oneshot::channel();
        let until = self.inner.environment.now() + ASKED_WITHIN;
        let waiting = Waiting { command: command.clone(), until, answer };
        self.inner.waiting.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ExecuteError::Busy,
            mpsc::error::TrySendError::Closed(_) => ExecuteError::NotLeader { leader: None },
        })?;
        let stopped = |_| Err(ExecuteError::Unknown("this node stops".to_owned()));
        answered.await.unwrap_or_else(stopped)
    }

    /// Reads what is applied here, and tells it.
    fn read(&self) -> Result<Known, StartError> {
        // Held all the time: who reads later tells later.
        let mut last_read = self.inner.last_read.lock();
        let state = match self.inner.group.get(KEY)? {
            None => None,
            Some(bytes) => Some(decoded(&mut last_read, bytes)?),
        };
        let before = self.inner.known.borrow().clone();
        if before != state {
            self.inner.known.send_replace(state.clone());
            self.inner.news.tell(before.as_deref(), state.as_deref());
        }
        Ok(state)
    }
}

fn decoded(
    last_read: &mut Option<(Bytes, Arc<ClusterState>)>,
    bytes: Bytes,
) -> Result<Arc<ClusterState>, StartError> {
    if let Some((_, state)) = last_read.as_ref().filter(|(read, _)| *read == bytes) {
        return Ok(Arc::clone(state));
    }
    let damaged = |error: FormatError| StartError::Fatal { reason: error.to_string() };
    let state = Arc::new(ClusterState::decode(&bytes).map_err(damaged)?);
    *last_read = Some((bytes, Arc::clone(&state)));
    Ok(state)
}

/// Reads again whenever something was applied.
async fn follow(inner: std::sync::Weak<Inner>, mut applied: watch::Receiver<u64>) {
    while applied.changed().await.is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = (System { inner }).read() {
            tracing::error!(%error, "the configuration of the cluster cannot be read");
        }
    }
}

#[cfg(test)]
mod tests;
