//! Answers what other replicas ask.

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest};
use serde::Serialize;
use tokio::time::Instant;

use super::{Inner, RaftGroup};
use crate::{
    codec,
    consensus::{
        RaftId,
        keys::Keys,
        raft::{
            arrivals::Transfer,
            network::{Answer, Question},
            sequence::Sequence,
            snapshot::SnapshotData,
            types::{Snapshot, SnapshotMeta, Types, encode},
        },
    },
    store::{Batch, Pairs},
};

/// How many bytes of entries may wait for the disk before more are refused; more than a leader sends ahead.
const ARRIVING_BYTES_MAX: usize = 32 << 20;

impl RaftGroup {
    /// Answers a request that the replica `from` sent through its transport. Call it in the order in which the
    /// requests of one lane came: whatever has an order is in order when this returns, before the answer is
    /// awaited. Answers may come in any order.
    pub fn receive(&self, from: RaftId, request: Bytes) -> BoxFuture<'static, Bytes> {
        match codec::decode::<Question>(&request) {
            Err(error) => refuse(&error.to_string()),
            Ok(Question::Append(append)) => self.append(request.len(), append),
            Ok(Question::Vote(vote) | Question::PreVote(vote)) if self.is_forsworn(&vote) => {
                refuse("this replica once had a later entry")
            }
            Ok(question) => {
                let group = self.clone();
                tracing::trace!(group = self.inner.id.0, ?from, "asked");
                Box::pin(async move { group.answer(question).await })
            }
        }
    }

    /// Whether an earlier life of this replica promised not to elect that candidate.
    fn is_forsworn(&self, request: &VoteRequest<Types>) -> bool {
        request.last_log_id < self.inner.promised
    }

    async fn answer(&self, question: Question) -> Bytes {
        let raft = &self.inner.raft;
        match question {
            Question::Append(request) => answer(raft.append_entries(request)).await,
            Question::Vote(request) => answer(raft.vote(request)).await,
            Question::PreVote(request) => answer(raft.pre_vote(request)).await,
            Question::Transfer(request) => answer(raft.handle_transfer_leader(request)).await,
            Question::SnapshotPairs { transfer, number, pairs } => {
                answer(self.take_pairs(transfer, number, pairs)).await
            }
            Question::SnapshotEnd { transfer, meta, sequence, count } => {
                answer(self.install(transfer, meta, sequence, count)).await
            }
        }
    }

    /// Hands entries to consensus now; the answer comes when they are on disk.
    fn append(&self, bytes: usize, request: AppendEntriesRequest<Types>) -> BoxFuture<'static, Bytes> {
        let Some(room) = Arrived::take(&self.inner, bytes) else {
            return refuse("too many entries wait for the disk");
        };
        let raft = self.inner.raft.clone();
        begin(async move {
            let result = raft.append_entries(request).await;
            if matches!(result, Ok(AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)))
            {
                *room.inner.leader_heard.lock() = Some(Instant::now());
            }
            answer(std::future::ready(result)).await
        })
    }

    async fn install(
        &self,
        transfer: Transfer,
        meta: SnapshotMeta,
        sequence: Sequence,
        count: u64,
    ) -> Result<SnapshotResponse<Types>, String> {
        let generation = self.finish_pairs(transfer, count).await?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received { generation, sequence } };
        let installed = self.inner.raft.install_full_snapshot(transfer.vote, snapshot).await;
        let installed = installed.map_err(|error| error.to_string())?;
        // One that brings nothing new is not installed, and would lie there for ever.
        let is_ignored = self.inner.state().is_ok_and(|state| state.generation() < generation);
        self.remove_abandoned(is_ignored.then_some(generation)).await?;
        Ok(installed)
    }

    async fn take_pairs(&self, transfer: Transfer, number: u64, pairs: Pairs) -> Result<(), String> {
        let state = self.inner.state().map_err(|error| error.to_string())?;
        let current = state.generation();
        let place = self.inner.arrivals.lock().part(transfer, number, current)?;
        self.remove_abandoned(place.abandoned).await?;
        let keys = Keys::new(self.inner.id);
        let mut batch = Batch::new();
        for (key, value) in pairs {
            batch.put(keys.state_key(place.generation, &key), value);
        }
        state.store().apply(batch).await.map_err(|error| error.to_string())
    }

    async fn finish_pairs(&self, transfer: Transfer, count: u64) -> Result<u32, String> {
        let state = self.inner.state().map_err(|error| error.to_string())?;
        let current = state.generation();
        let place = self.inner.arrivals.lock().end(transfer, count, current)?;
        self.remove_abandoned(place.abandoned).await?;
        Ok(place.generation)
    }

    async fn remove_abandoned(&self, generation: Option<u32>) -> Result<(), String> {
        let Some(generation) = generation else { return Ok(()) };
        let range = Keys::new(self.inner.id).generation(generation);
        let state = self.inner.state().map_err(|error| error.to_string())?;
        let removed = state.store().remove_range(&range.start, &range.end).await;
        removed.map(drop).map_err(|error| error.to_string())
    }
}

/// Bytes of entries that came and are not answered yet.
struct Arrived {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Arrived {
    /// `None` if there are too many.
    fn take(inner: &Arc<Inner>, bytes: usize) -> Option<Self> {
        let before = inner.arriving_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = Self { inner: Arc::clone(inner), bytes };
        (before <= ARRIVING_BYTES_MAX).then_some(taken)
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.inner.arriving_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Runs `future` as far as it gets without waiting. openraft's queue is first come, first served, and whoever asked
/// once has its place in it.
fn begin(future: impl Future<Output = Bytes> + Send + 'static) -> BoxFuture<'static, Bytes> {
    // Without that, tokio could send it away before it got its place, because the task did enough already.
    let mut future = Box::pin(tokio::task::unconstrained(future));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        Poll::Pending => future,
    }
}

fn refuse(reason: &str) -> BoxFuture<'static, Bytes> {
    Box::pin(std::future::ready(encode(&Answer::<()>::Err(reason.to_owned()))))
}

async fn answer<T: Serialize, E: ToString>(work: impl Future<Output = Result<T, E>>) -> Bytes {
    encode(&work.await.map_err(|error| error.to_string()))
}
