//! Performs what the bootstrap decides: asks, stores, founds or joins.

use std::sync::Arc;

use playhouse_cluster::{
    consensus::RaftId,
    identity::ClusterId,
    membership::bootstrap::{Acceptance, Action, Answer, Bootstrap, Event, JoinError, Own, Proposal, Rules},
    store::{Batch, Store},
};
use tokio::sync::Mutex;

use crate::node::StartError;

/// Where the acceptance is kept in the store.
const KEY: &[u8] = b"bootstrap";

/// The part of this node in forming the cluster. A cheap handle: peers ask it while the node starts, and afterwards.
#[derive(Clone)]
pub(in crate::node) struct Formation {
    desk: Arc<Mutex<Bootstrap>>,
    store: Store,
}

impl Formation {
    /// Reads what the volume remembers.
    pub(in crate::node) fn open(
        store: &Store,
        rules: Rules,
        own: Own,
        drawn: ClusterId,
    ) -> Result<Self, StartError> {
        let stored = store.get(KEY)?;
        let stored = stored.map(|bytes| Acceptance::decode(&bytes)).transpose();
        let stored = stored.map_err(|error| StartError::Fatal { reason: error.to_string() })?;
        let desk = Arc::new(Mutex::new(Bootstrap::new(rules, own, stored, drawn)));
        Ok(Self { desk, store: store.clone() })
    }

    /// Answers the proposal of a peer, after what must be kept is on disk.
    pub(in crate::node) async fn asked(
        &self,
        peer: &str,
        proposal: Proposal,
    ) -> Result<Option<Answer>, StartError> {
        let mut desk = self.desk.lock().await;
        let mut answered = None;
        for action in desk.step(Event::Asked { peer: peer.to_owned(), proposal }) {
            match action {
                Action::Store(acceptance) => self.keep(&acceptance).await?,
                Action::Answer { answer, .. } => answered = Some(answer),
                _ => {}
            }
        }
        Ok(answered)
    }

    /// What follows from an event. What must be kept is on disk when it returns; the rest is for the caller to do.
    pub(in crate::node) async fn step(&self, event: Event) -> Result<Vec<Action>, StartError> {
        let mut desk = self.desk.lock().await;
        let mut rest = Vec::new();
        for action in desk.step(event) {
            match action {
                Action::Store(acceptance) => self.keep(&acceptance).await?,
                action => rest.push(action),
            }
        }
        Ok(rest)
    }

    /// Whether this node may join a living cluster, which says whether a volume is certainly its member.
    pub(in crate::node) async fn check_join(
        &self,
        cluster_id: ClusterId,
        has_adopted: impl Fn(RaftId) -> bool,
    ) -> Result<(), JoinError> {
        self.desk.lock().await.check_join(cluster_id, has_adopted)
    }

    /// Adopts the id of a cluster by `adopt`, which makes it durable, unless that became unsafe meanwhile. No proposal is
    /// answered meanwhile.
    pub(in crate::node) async fn adopt(
        &self,
        cluster_id: ClusterId,
        has_adopted: impl Fn(RaftId) -> bool,
        adopt: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        let mut desk = self.desk.lock().await;
        let safe = desk.check_join(cluster_id, has_adopted);
        safe.map_err(|error| StartError::Join { reason: error.to_string() })?;
        adopt()?;
        drop(desk.step(Event::Adopted { cluster_id }));
        Ok(())
    }

    /// Adopts the id of the cluster that this node founds.
    pub(in crate::node) async fn adopt_own(
        &self,
        cluster_id: ClusterId,
        adopt: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        let mut desk = self.desk.lock().await;
        adopt()?;
        drop(desk.step(Event::Adopted { cluster_id }));
        Ok(())
    }

    /// Whether this volume founded its cluster.
    pub(in crate::node) async fn is_founder(&self) -> bool {
        self.desk.lock().await.is_founder()
    }

    async fn keep(&self, acceptance: &Acceptance) -> Result<(), StartError> {
        let encoded = acceptance.encode().map_err(|error| StartError::Fatal { reason: error.to_string() })?;
        let mut batch = Batch::new();
        batch.put(KEY, encoded);
        Ok(self.store.commit(batch).await?)
    }
}
