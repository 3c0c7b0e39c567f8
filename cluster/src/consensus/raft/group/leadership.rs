//! Tells who leads.

use std::time::Duration;

use crate::environment::watch;
use openraft::{
    ServerState,
    async_runtime::watch::WatchReceiver,
    error::{Fatal, RaftError},
    raft::{TransferLeaderRequest, VoteRequest},
};

use crate::consensus::{
    Leadership, RaftId, Term,
    raft::types::{LogId, Raft, ServerNews, Types, Vote},
};

/// Publishes leadership. A leader is announced only after the first entry of its term is applied.
pub(super) async fn announce_leadership(raft: Raft, announce: watch::Sender<Leadership>) {
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

/// No replica has this id: ids are drawn at random.
const NOBODY: u64 = 0;

/// Begins an election now, also at the leader, which gives its term up by that.
///
/// openraft's own trigger does nothing at a leader, and a leader that nobody contests stays one for ever, whatever
/// became of the term. A leader gives up first, and is then a candidate with its own leave: the others need not wait until
/// they miss it.
pub(super) async fn elect(raft: &Raft) -> Result<(), Fatal<Types>> {
    let Some(vote) = give_up(raft).await? else { return raft.trigger().elect(false).await };
    let own = *raft.node_id();
    // Refused if somebody was elected meanwhile, which is as good.
    raft.handle_transfer_leader(TransferLeaderRequest::new(vote, own, None)).await.map(drop)
}

/// Ends the term of a leader; `None` for another replica.
///
/// The leader gives its vote of the next term away, to nobody: it cannot go on in its term, and nobody can win the next
/// one with that vote.
pub(super) async fn give_up(raft: &Raft) -> Result<Option<Vote>, Fatal<Types>> {
    let (state, term) = {
        let metrics = raft.server_metrics();
        let now = metrics.borrow_watched();
        (now.state, now.vote.leader_id.term)
    };
    if state != ServerState::Leader {
        return Ok(None);
    }
    let vote = Vote::new(term + 1, NOBODY);
    let newest = LogId::new(openraft::vote::leader_id_std::CommittedLeaderId::new(term + 1), u64::MAX);
    let request = VoteRequest { vote, last_log_id: Some(newest), leadership_transfer: true };
    match raft.vote(request).await {
        Err(RaftError::Fatal(fatal)) => Err(fatal),
        Ok(_) | Err(RaftError::APIError(_)) => Ok(Some(vote)),
    }
}
