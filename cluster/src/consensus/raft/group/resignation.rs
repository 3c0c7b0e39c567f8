//! Ends leaderships that should not go on.
//!
//! openraft has no word for that: a leader ignores it when it is asked to elect, and leads on for ever although nobody
//! answers. But it follows a later term, as every replica must. So it grants a vote of the next term to another replica,
//! which does not know of it: as if that had asked and then went away.

use std::time::Duration;

use openraft::{
    ServerState, async_runtime::watch::WatchReceiver, error::Fatal, raft::VoteRequest, vote::RaftLeaderId,
};
use tokio::sync::watch;

use super::{OpenError, RaftGroup, Replicas};
use crate::consensus::{
    RaftId,
    raft::types::{LogId, Raft, Types, Vote},
};

/// How often a leader looks within the time after which it gives up.
const LOOKS: u32 = 4;

impl RaftGroup {
    /// Ends the leadership of this replica, if it leads. Somebody is elected after the election timeout, perhaps this
    /// replica again, in a later term. What was proposed and not yet committed may still be.
    ///
    /// # Errors
    ///
    /// When consensus stopped.
    pub async fn resign(&self) -> Result<(), OpenError> {
        let replicas = self.inner.replicas.borrow().clone();
        let resigned = resign(&self.inner.raft, &replicas).await;
        resigned.map_err(|error| OpenError::Start { group: self.inner.id, reason: error.to_string() })
    }
}

async fn resign(raft: &Raft, replicas: &Replicas) -> Result<(), Fatal<Types>> {
    let (leads, term) = {
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow_watched();
        (metrics.state == ServerState::Leader, metrics.vote.leader_id.term)
    };
    if !leads {
        return Ok(());
    }
    let own = *raft.node_id();
    let other = replicas.voters.iter().find(|voter| voter.0 != own);
    // Alone in the group: any other number will do, since votes only tell candidates apart.
    let other = other.map_or(own.wrapping_add(1), |other| other.0);
    // Above every entry that the log may get until then.
    let last = LogId::new(<LeaderIdOf as RaftLeaderId>::new(term + 1, other).to_committed(), u64::MAX);
    let mut request = VoteRequest::new(Vote::new(term + 1, other), Some(last));
    // The lease protects a leader against others, not against itself.
    request.leadership_transfer = true;
    raft.vote(request).await.map(drop).map_err(|error| match error {
        openraft::error::RaftError::Fatal(error) => error,
        openraft::error::RaftError::APIError(never) => match never {},
    })
}

type LeaderIdOf = openraft::alias::LeaderIdOf<Types>;

/// Resigns when no majority answers. Others elect somebody meanwhile, if they hear each other; if not, whoever waits for
/// this replica learns that nobody leads.
pub(super) struct Abdication {
    pub(super) raft: Raft,
    pub(super) own: RaftId,
    pub(super) replicas: watch::Receiver<Replicas>,
    /// How long no majority may answer.
    pub(super) after: Duration,
}

impl Abdication {
    /// Runs until the replica stops.
    pub(super) async fn run(self) {
        let mut news = self.raft.server_metrics();
        loop {
            let state = news.borrow_watched().state;
            let goes_on = match state {
                ServerState::Leader => self.lead().await,
                ServerState::Shutdown => false,
                _ => news.changed().await.is_ok(),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Looks while this replica leads. Looks are counted, not time: after a pause of the whole process the first answers are
    /// still to be read.
    async fn lead(&self) -> bool {
        let (mut silent, mut last) = (0, None);
        while self.leads() {
            if silent >= LOOKS {
                tracing::info!(raft = self.own.0, "no majority answers; this replica leads no longer");
                let replicas = self.replicas.borrow().clone();
                return resign(&self.raft, &replicas).await.is_ok();
            }
            tokio::time::sleep(self.after / LOOKS).await;
            let acked = self.raft.data_metrics().borrow_watched().last_quorum_acked;
            let is_heard = acked != last || self.is_only_voter();
            silent = if is_heard { 0 } else { silent + 1 };
            last = acked;
        }
        true
    }

    fn leads(&self) -> bool {
        self.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }

    fn is_only_voter(&self) -> bool {
        self.replicas.borrow().voters.iter().eq([&self.own])
    }
}
