//! openraft's requests as bytes on a [`Transport`](crate::consensus::Transport).

use std::future::Future;

use futures_util::{Stream, future::BoxFuture, stream::BoxStream};
use openraft::{
    EmptyNode,
    alias::VoteOf,
    error::{RPCError, ReplicationClosed, StreamingError},
    network::{RPCOption, RPCTypes, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    arrivals::Transfer,
    pipeline::Pipeline,
    sequence::Sequence,
    snapshot::SnapshotData,
    types::{Snapshot, SnapshotMeta, Types},
    way::{Network, Way},
};
use crate::{consensus::RaftId, store::Pairs};

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

/// What openraft asks another replica through.
pub(crate) struct Peer(Way);

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Peer {
        Peer(Way::new(self.clone(), RaftId(target)))
    }
}

type Results<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.0.ask(RPCTypes::AppendEntries, Question::Append(request), option.hard_ttl()).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<Results<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let results = Pipeline::new(self.0.clone(), input).into_stream();
        Box::pin(std::future::ready(Ok(results)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.0.ask(RPCTypes::Vote, Question::Vote(request), option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.0.ask(RPCTypes::Vote, Question::PreVote(request), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            result = self.0.send_snapshot(vote, snapshot, option.hard_ttl()) => result,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.0.ask(RPCTypes::TransferLeader, Question::Transfer(request), option.hard_ttl()).await
    }
}
