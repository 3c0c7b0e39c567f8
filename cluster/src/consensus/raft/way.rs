//! The way from one replica of a group to another.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::environment::watch;
use bytes::Bytes;
use openraft::{
    AnyError,
    error::{NetworkError, RPCError, StreamingError, Timeout, Unreachable},
    network::RPCTypes,
};
use serde::de::DeserializeOwned;

use super::{
    group::Config,
    network::{Answer, Question},
    sending::Sending,
    types::{Types, encode},
};
use crate::{
    codec,
    consensus::{GroupId, Lane, RaftId, Transport, TransportError},
};

/// Where the ways of one group begin. A cheap handle.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) own: RaftId,
    pub(crate) group: GroupId,
    pub(crate) transport: Arc<dyn Transport>,
    /// How long to wait for any answer while something is on its way.
    pub(crate) patience: Duration,
    /// How long a request without entries waits for one with entries.
    pub(crate) commits_held: Duration,
    /// Entries below this index are about to be removed, whoever still wants them.
    pub(crate) floor: watch::Receiver<u64>,
    pub(crate) sending: Arc<Sending>,
    /// How many snapshots were sent, to whomever.
    attempts: Arc<AtomicU64>,
}

impl Network {
    pub(crate) fn new(
        own: RaftId,
        group: GroupId,
        transport: Arc<dyn Transport>,
        config: &Config,
        floor: watch::Receiver<u64>,
    ) -> Self {
        let (patience, commits_held) = (config.election.1, config.commits_held);
        let (sending, attempts) = (Arc::default(), Arc::default());
        Self { own, group, transport, patience, commits_held, floor, sending, attempts }
    }

    /// The number of the next snapshot.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }
}

/// The way to one other replica.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) network: Network,
    target: RaftId,
}

/// A request without an answer.
pub(crate) enum AskError {
    Transport(TransportError),
    Answer(String),
}

impl From<AskError> for RPCError<Types> {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Transport(error) => Unreachable::new(&error).into(),
            AskError::Answer(reason) => NetworkError::new(&AnyError::error(reason)).into(),
        }
    }
}

impl From<AskError> for StreamingError<Types> {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Transport(error) => Unreachable::new(&error).into(),
            AskError::Answer(reason) => NetworkError::new(&AnyError::error(reason)).into(),
        }
    }
}

impl Way {
    pub(crate) fn new(network: Network, target: RaftId) -> Self {
        Self { network, target }
    }

    /// Puts a request on the wire now; its answer comes later.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        lane: Lane,
        question: Bytes,
    ) -> impl Future<Output = Result<T, AskError>> + Send + use<T> {
        let sent = self.network.transport.send(self.target, self.network.group, lane, question);
        async move {
            let bytes = sent.await.map_err(AskError::Transport)?;
            let answer: Answer<T> =
                codec::decode(&bytes).map_err(|error| AskError::Answer(error.to_string()))?;
            answer.map_err(AskError::Answer)
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        action: RPCTypes,
        question: Question,
        limit: Duration,
    ) -> Result<T, RPCError<Types>> {
        match tokio::time::timeout(limit, self.send(Lane::Consensus, encode(&question))).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(RPCError::Timeout(self.timed_out(action, limit))),
        }
    }

    /// As [`ask`](Self::ask), without being in the way of anything.
    pub(crate) async fn ask_in_bulk<T: DeserializeOwned>(
        &self,
        question: &Question,
        limit: Duration,
    ) -> Result<T, StreamingError<Types>> {
        match tokio::time::timeout(limit, self.send(Lane::Bulk, encode(question))).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(self.timed_out(RPCTypes::InstallSnapshot, limit).into()),
        }
    }

    pub(crate) fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<Types> {
        Timeout { action, id: self.network.own.0, target: self.target.0, timeout }
    }
}
