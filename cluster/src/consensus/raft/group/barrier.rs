//! Asks a majority whether this replica still leads.
//!
//! openraft's own way is not safe with requests that are sent ahead. Its replication notes when each request was made, and
//! takes an answer for the answer to *every* request whose last entry is not behind it
//! (`InflightAppendQueue::drain_acked` of 0.10.0-alpha.37). A request that only tells what is committed has no entries, so the late
//! answer to the request before it confirms it too, and with it a leadership that ended between the two. So each round here asks by
//! itself, and counts only answers to what it asked. (The algorithm is ReadIndex of Ongaro's dissertation on Raft, section 6.4.)

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::sync::Mutex;

use super::Replicas;
use crate::{
    consensus::{
        Lane, RaftId, Term,
        raft::{
            network::Question,
            types::{Types, Vote, encode},
            way::{Network, Way},
        },
    },
    environment::watch,
};

/// Confirms leaderships of one group, one round at a time: whoever comes during a round shares the next one.
pub(super) struct Barrier {
    network: Network,
    replicas: watch::Receiver<Replicas>,
    /// How many rounds have begun.
    begun: AtomicU64,
    last: Mutex<Round>,
}

/// What came of a round.
#[derive(Clone, Copy, Default)]
struct Round {
    number: u64,
    term: Term,
    passed: bool,
}

impl Barrier {
    pub(super) fn new(network: Network, replicas: watch::Receiver<Replicas>) -> Self {
        Self { network, replicas, begun: AtomicU64::new(0), last: Mutex::default() }
    }

    /// Whether a majority says, in answer to what is sent after this was called, that it follows this replica in `term`.
    pub(super) async fn pass(&self, term: Term) -> bool {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.number >= wanted && last.term == term {
            return last.passed;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        *last = Round { number, term, passed: self.round(term).await };
        last.passed
    }

    async fn round(&self, term: Term) -> bool {
        let sets = self.replicas.borrow().sets.clone();
        let mut agreed = BTreeSet::from([self.network.own]);
        let others = sets.iter().flatten().filter(|id| **id != self.network.own);
        let mut answers: FuturesUnordered<_> =
            others.collect::<BTreeSet<_>>().into_iter().map(|other| self.ask(*other, term)).collect();
        let counted = async {
            while !is_quorum(&sets, &agreed) {
                let Some(answer) = answers.next().await else { return false };
                agreed.extend(answer);
            }
            true
        };
        tokio::time::timeout(self.network.patience, counted).await.unwrap_or(false)
    }

    /// The other replica, if it follows this one.
    async fn ask(&self, other: RaftId, term: Term) -> Option<RaftId> {
        let way = Way::new(self.network.clone(), other);
        let vote = Vote::new_committed(term.0, self.network.own.0);
        let heartbeat =
            AppendEntriesRequest { vote, prev_log_id: None, leader_commit: None, entries: Vec::new() };
        let asked =
            way.send::<AppendEntriesResponse<Types>>(Lane::Consensus, encode(&Question::Append(heartbeat)));
        match asked.await {
            Ok(AppendEntriesResponse::HigherVote(_)) | Err(_) => None,
            Ok(_) => Some(other),
        }
    }
}

fn is_quorum(sets: &[BTreeSet<RaftId>], agreed: &BTreeSet<RaftId>) -> bool {
    let has_majority = |set: &BTreeSet<RaftId>| set.intersection(agreed).count() * 2 > set.len();
    !sets.is_empty() && sets.iter().all(has_majority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_configuration_needs_a_majority_of_both() {
        let set = |ids: &[u64]| ids.iter().copied().map(RaftId).collect::<BTreeSet<_>>();
        let sets = [set(&[1, 2, 3]), set(&[1, 4, 5])];
        assert!(!is_quorum(&sets, &set(&[1, 2])));
        assert!(!is_quorum(&sets, &set(&[1, 4, 5])));
        assert!(is_quorum(&sets, &set(&[1, 2, 4])));
        assert!(is_quorum(&[set(&[1])], &set(&[1])));
        assert!(!is_quorum(&[set(&[2])], &set(&[1])), "a leader that votes no longer is no majority");
        assert!(!is_quorum(&[], &set(&[1])));
    }
}
