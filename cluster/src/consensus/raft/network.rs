//! openraft's requests as bytes on a [`Transport`].

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    AnyError, EmptyNode,
    alias::VoteOf,
    error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RPCTypes, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    arrivals::Transfer,
    sequence::Sequence,
    snapshot::{SnapshotData, Taken},
    types::{Snapshot, SnapshotMeta, Types, encode},
};
use crate::{
    codec,
    consensus::{GroupId, Lane, RaftId, Transport, TransportError},
    store::Pairs,
};

/// How many pairs of a snapshot travel together at most.
const SNAPSHOT_PAIRS_MAX: usize = 512;
/// How many bytes of a snapshot travel together at most, unless one pair is larger.
const SNAPSHOT_BYTES_MAX: usize = 1 << 20;

/// What one replica asks another.
#[derive(Serialize, Deserialize)]
pub(crate) enum Question {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
    /// The next pairs of a snapshot; `number` counts from 0, which starts a new one.
    SnapshotPairs {
        transfer: Transfer,
        number: u64,
        pairs: Pairs,
    },
    /// All `count` messages of pairs were sent.
    SnapshotEnd {
        transfer: Transfer,
        meta: SnapshotMeta,
        sequence: Sequence,
        count: u64,
    },
}

/// What the other replica answers, or why it could not.
pub(crate) type Answer<T> = Result<T, String>;

/// Makes connections to the other replicas of one group.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) own: RaftId,
    pub(crate) group: GroupId,
    pub(crate) transport: Arc<dyn Transport>,
    /// How many snapshots were sent, to whomever.
    attempts: Arc<AtomicU64>,
}

impl Network {
    pub(crate) fn new(own: RaftId, group: GroupId, transport: Arc<dyn Transport>) -> Self {
        Self { own, group, transport, attempts: Arc::default() }
    }
}

/// The way to one other replica.
pub(crate) struct Peer {
    network: Network,
    target: RaftId,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Peer {
        Peer { network: self.clone(), target: RaftId(target) }
    }
}

enum AskError {
    Transport(TransportError),
    Answer(String),
}

impl Peer {
    async fn ask<T: DeserializeOwned>(&self, lane: Lane, question: &Question) -> Result<T, AskError> {
        let sent = self.network.transport.send(self.target, self.network.group, lane, encode(question));
        let bytes = sent.await.map_err(AskError::Transport)?;
        let answer: Answer<T> = codec::decode(&bytes).map_err(|error| AskError::Answer(error.to_string()))?;
        answer.map_err(AskError::Answer)
    }

    async fn rpc<T: DeserializeOwned>(
        &self,
        action: RPCTypes,
        question: Question,
        limit: Duration,
    ) -> Result<T, RPCError<Types>> {
        match tokio::time::timeout(limit, self.ask(Lane::Consensus, &question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(AskError::Transport(error))) => Err(Unreachable::new(&error).into()),
            Ok(Err(AskError::Answer(reason))) => Err(NetworkError::new(&AnyError::error(reason)).into()),
            Err(_) => Err(RPCError::Timeout(self.timed_out(action, limit))),
        }
    }

    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<Types> {
        Timeout { action, id: self.network.own.0, target: self.target.0, timeout }
    }

    async fn stream(
        &self,
        vote: VoteOf<Types>,
        snapshot: Snapshot,
        limit: Duration,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        // Its position may be newer than that of `snapshot`.
        let taken = take(&snapshot)?;
        let attempt = self.network.attempts.fetch_add(1, Ordering::Relaxed);
        let transfer = Transfer { vote, attempt };
        let mut after: Option<Bytes> = None;
        let mut count = 0;
        loop {
            let pairs = read(&taken, after.as_ref())?;
            let Some((last, _)) = pairs.last() else { break };
            after = Some(last.clone());
            let question = Question::SnapshotPairs { transfer, number: count, pairs };
            self.bulk::<()>(&question, limit).await?;
            count += 1;
        }
        let end = Question::SnapshotEnd {
            transfer,
            meta: taken.applied.meta(),
            sequence: taken.applied.sequence,
            count,
        };
        self.bulk(&end, limit).await
    }

    async fn bulk<T: DeserializeOwned>(
        &self,
        question: &Question,
        limit: Duration,
    ) -> Result<T, StreamingError<Types>> {
        match tokio::time::timeout(limit, self.ask(Lane::Bulk, question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(AskError::Transport(error))) => Err(Unreachable::new(&error).into()),
            Ok(Err(AskError::Answer(reason))) => Err(NetworkError::new(&AnyError::error(reason)).into()),
            Err(_) => Err(self.timed_out(RPCTypes::InstallSnapshot, limit).into()),
        }
    }
}

fn take(snapshot: &Snapshot) -> Result<Taken, StreamingError<Types>> {
    let taken = match &snapshot.snapshot {
        SnapshotData::Promised(source) => source.take(),
        SnapshotData::Received { .. } => Err(std::io::Error::other("a snapshot that arrived is not sent on")),
    };
    taken.map_err(|error| NetworkError::new(&error).into())
}

fn read(taken: &Taken, after: Option<&Bytes>) -> Result<Pairs, StreamingError<Types>> {
    taken
        .read(after, SNAPSHOT_PAIRS_MAX, SNAPSHOT_BYTES_MAX)
        .map_err(|error| NetworkError::new(&error).into())
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::AppendEntries, Question::Append(request), option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::Vote, Question::Vote(request), option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::Vote, Question::PreVote(request), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            result = self.stream(vote, snapshot, option.hard_ttl()) => result,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.rpc(RPCTypes::TransferLeader, Question::Transfer(request), option.hard_ttl()).await
    }
}
