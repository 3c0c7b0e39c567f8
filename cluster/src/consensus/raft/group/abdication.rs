//! Ends a leadership that no majority answers.
//!
//! openraft's leader leads on for ever then. Whoever sends to it would wait in vain, and followers that hear it although it
//! does not hear them would elect nobody.

use std::time::Duration;

use crate::environment::watch;
use openraft::{ServerState, async_runtime::watch::WatchReceiver};

use super::{Replicas, leadership};
use crate::consensus::{RaftId, raft::types::Raft};

/// How often a leader looks within the time after which it gives up.
const LOOKS: u32 = 4;

/// Gives the term up when no majority answers. Others elect somebody meanwhile, if they hear each other; if not, whoever
/// waits for this replica learns that nobody leads.
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
                return leadership::give_up(&self.raft).await.is_ok();
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
