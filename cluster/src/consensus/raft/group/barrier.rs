//! Asks a majority whether this replica still leads.
//!
//! openraft's own way is not safe with requests that are sent ahead. Its replication notes when each request was made, and
//! takes an answer for the answer to *every* request whose last entry is not behind it
//! (`InflightAppendQueue::drain_acked` of 0.10.0-alpha.37). A request that only tells what is committed has no entries, so the late
//! answer to the request before it confirms it too, and with it a leadership that ended between the two. So each round here asks by
//! itself, and counts only answers to what it asked. (The algorithm is ReadIndex of Ongaro's dissertation on Raft, section 6.4.)

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use openraft::{
    async_runtime::watch::WatchReceiver,
    raft::{AppendEntriesRequest, AppendEntriesResponse},
};
use parking_lot::Mutex;

use super::replicas::sets_of;
use crate::{
    consensus::{
        Lane, RaftId, Term,
        raft::{
            network::Question,
            types::{Raft, Types, Vote, encode},
            way::{Network, Way},
        },
    },
    environment::{Environment, watch},
};

/// Confirms leaderships of one group, one round at a time: whoever comes during a round shares the next one.
pub(super) struct Barrier(Arc<Rounds>);

/// The rounds, which go on by themselves: who waits for one may be busy with something else.
struct Rounds {
    network: Network,
    raft: Raft,
    environment: Environment,
    state: Mutex<State>,
    ended: watch::Sender<Round>,
}

#[derive(Default)]
struct State {
    /// How many rounds have begun.
    begun: u64,
    is_running: bool,
    /// The term of the next round, if anybody waits for it.
    wanted: Option<Term>,
}

/// What came of a round.
#[derive(Clone, Copy, Default)]
struct Round {
    number: u64,
    term: Term,
    passed: bool,
}

impl Barrier {
    pub(super) fn new(network: Network, raft: Raft, environment: Environment) -> Self {
        let ended = watch::Sender::new(Round::default());
        Self(Arc::new(Rounds { network, raft, environment, state: Mutex::default(), ended }))
    }

    /// Whether a majority says, in answer to what is sent after this was called, that it follows this replica in `term`.
    pub(super) async fn pass(&self, term: Term) -> bool {
        if is_quorum(&self.0.sets(), &self.0.own()) {
            return true;
        }
        let mut ended = self.0.ended.subscribe();
        let wanted = self.0.want(term);
        let round = ended.wait_for(|round| round.number >= wanted).await;
        round.is_ok_and(|round| round.term == term && round.passed)
    }
}

impl Rounds {
    /// The number of the first round that begins from now on. It is for the newest of the terms that are wanted.
    fn want(self: &Arc<Self>, term: Term) -> u64 {
        let mut state = self.state.lock();
        state.wanted = state.wanted.max(Some(term));
        if !std::mem::replace(&mut state.is_running, true) {
            let rounds = Arc::clone(self);
            self.environment.spawn(async move { rounds.run().await });
        }
        state.begun + 1
    }

    async fn run(&self) {
        while let Some((number, term)) = self.begin() {
            let passed = self.round(term).await;
            self.ended.send_replace(Round { number, term, passed });
        }
    }

    fn begin(&self) -> Option<(u64, Term)> {
        let mut state = self.state.lock();
        let wanted = state.wanted.take();
        state.is_running = wanted.is_some();
        state.begun += u64::from(wanted.is_some());
        wanted.map(|term| (state.begun, term))
    }

    fn own(&self) -> BTreeSet<RaftId> {
        BTreeSet::from([self.network.own])
    }

    /// The voters as consensus itself knows them now, before and after a change that is under way.
    fn sets(&self) -> Vec<BTreeSet<RaftId>> {
        sets_of(&self.raft.server_metrics().borrow_watched().membership_config)
    }

    async fn round(&self, term: Term) -> bool {
        let (sets, mut agreed) = (self.sets(), self.own());
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
