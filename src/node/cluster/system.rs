//! The system group: one Raft group that holds the configuration of the cluster under one key.
//!
//! Its leader decides commands by [`ClusterState::decide`], one after the other. Every member has a replica, so every
//! member knows the configuration, a little late.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use playhouse_cluster::{
    consensus::{
        self, Group, GroupId, Leadership, Observer, Progress, ProposeError, RaftGroup, RaftId, Term,
        Transport,
    },
    environment::{Environment, watch},
    membership::{ClusterState, Command, Refusal},
    store::{Batch, Store},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, oneshot};

use crate::node::StartError;

/// The Raft group that holds the configuration.
pub(in crate::node) const SYSTEM: GroupId = GroupId(u32::MAX);
/// The key under which it lies.
pub(in crate::node) const KEY: &[u8] = b"cluster";
/// How long a command may take to be committed.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

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
    /// Commands are decided one after the other.
    desk: Mutex<Desk>,
}

/// What was proposed in the current term.
#[derive(Default)]
struct Desk {
    term: Term,
    last: u64,
    /// A proposal of this term was lost, so no other of it can be committed.
    is_broken: bool,
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
        let known = watch::channel(None).0;
        let inner = Inner { group, environment: environment.clone(), known, desk: Mutex::default() };
        let system = Self { inner: Arc::new(inner) };
        system.read()?;
        environment.spawn(follow(Arc::downgrade(&system.inner), system.inner.group.applied()));
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
                if self.replace(&mut desk, term, state).await.is_ok() {
                    return Ok(());
                }
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

    /// Carries a command out, if this node leads the group. Returns the state after it.
    pub(in crate::node) async fn execute(
        &self,
        command: &Command,
    ) -> Result<Arc<ClusterState>, ExecuteError> {
        let mut desk = self.inner.desk.lock().await;
        let leadership = *self.inner.group.leadership().borrow();
        let term = match leadership {
            Leadership::Leader { term } => term,
            Leadership::Follower { leader } => return Err(ExecuteError::NotLeader { leader }),
            Leadership::Stopped => return Err(ExecuteError::NotLeader { leader: None }),
        };
        let unreadable = |error: StartError| ExecuteError::Unknown(error.to_string());
        let state = self.read().map_err(unreadable)?;
        let state = state.ok_or(ExecuteError::NotLeader { leader: None })?;
        match state.decide(command, self.inner.environment.wall_ms()) {
            // A leader that was deposed and does not know it would answer from an old configuration.
            Err(refusal) => {
                self.confirm(term).await?;
                Err(ExecuteError::Refused(refusal))
            }
            Ok(None) => {
                self.confirm(term).await?;
                Ok(state)
            }
            Ok(Some(next)) => {
                self.replace(&mut desk, term, &next).await?;
                Ok(Arc::new(next))
            }
        }
    }

    /// Makes sure that this node led until now.
    async fn confirm(&self, term: Term) -> Result<(), ExecuteError> {
        let confirmed = tokio::time::timeout(COMMIT_WITHIN, self.inner.group.read_barrier(term)).await;
        match confirmed {
            Ok(Ok(())) => Ok(()),
            _ => Err(ExecuteError::NotLeader { leader: None }),
        }
    }

    /// Makes `state` what the group holds.
    async fn replace(&self, desk: &mut Desk, term: Term, state: &ClusterState) -> Result<(), ExecuteError> {
        if desk.term != term {
            *desk = Desk { term, ..Desk::default() };
        }
        if desk.is_broken {
            self.end_term().await;
            return Err(ExecuteError::Unknown("a proposal before it was lost".to_owned()));
        }
        let encoded = state.encode().map_err(|error| ExecuteError::Unknown(error.to_string()))?;
        let mut batch = Batch::new();
        batch.put(KEY, encoded);
        desk.last += 1;
        // Until it is known to be applied: whoever waits for it may leave at any time.
        desk.is_broken = true;
        let (tell, applied) = oneshot::channel();
        let proposed = async {
            self.inner.group.propose(term, desk.last, batch, Box::new(Applied(Some(tell)))).await;
            applied.await
        };
        let outcome = match tokio::time::timeout(COMMIT_WITHIN, proposed).await {
            Ok(Ok(Ok(()))) => {
                desk.is_broken = false;
                return Ok(());
            }
            Ok(Ok(Err(ProposeError::NotCommitted))) => ExecuteError::NotLeader { leader: None },
            Ok(Ok(Err(ProposeError::Unknown)) | Err(_)) => {
                ExecuteError::Unknown("leadership was lost".to_owned())
            }
            Err(_) => ExecuteError::Unknown("no majority answered in time".to_owned()),
        };
        self.end_term().await;
        Err(outcome)
    }

    /// Only another term can go on. A replica whose disk hangs cannot even say so.
    async fn end_term(&self) {
        drop(tokio::time::timeout(COMMIT_WITHIN, self.inner.group.elect()).await);
    }

    /// Reads what is applied here, and tells it.
    fn read(&self) -> Result<Known, StartError> {
        let stored = self.inner.group.get(KEY)?;
        let decode = |bytes: bytes::Bytes| ClusterState::decode(&bytes).map(Arc::new);
        let state = stored
            .map(decode)
            .transpose()
            .map_err(|error| StartError::Fatal { reason: error.to_string() })?;
        self.inner.known.send_if_modified(|known| {
            let is_news = *known != state;
            if is_news {
                known.clone_from(&state);
            }
            is_news
        });
        Ok(state)
    }
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

/// Waits until a proposal is applied.
struct Applied(Option<oneshot::Sender<Result<(), ProposeError>>>);

impl Observer for Applied {
    fn progress(&mut self, progress: Progress) {
        let outcome = match progress {
            Progress::Committed => return,
            Progress::Applied => Ok(()),
            Progress::Failed(error) => Err(error),
        };
        if let Some(tell) = self.0.take() {
            drop(tell.send(outcome));
        }
    }
}

#[cfg(test)]
mod tests;
