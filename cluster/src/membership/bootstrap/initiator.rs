//! The initiator: it asks until enough have accepted, or until it hears of a cluster.

use super::{Acceptance, Action, Answer, Ballot, Bootstrap, Obstacle, Phase, Proposal};

impl Bootstrap {
    pub(super) fn retry(&mut self) -> Vec<Action> {
        if !self.is_initiator() || self.own.adopted.is_some() || self.phase == Phase::Joining {
            return Vec::new();
        }
        let store = self.prepare();
        let next = if self.is_enough() { self.found() } else { self.ask() };
        store.into_iter().chain(next).collect()
    }

    pub(super) fn answered(&mut self, peer: String, answer: Answer) -> Vec<Action> {
        if !self.is_initiator() || self.own.adopted.is_some() || self.phase != Phase::Open {
            return Vec::new();
        }
        match answer {
            Answer::Accepted(acceptance) => self.count(peer, &acceptance),
            Answer::Belongs { cluster_id } => self.met(peer, cluster_id),
            Answer::Holds { ballot } if ballot > self.ballot() => {
                vec![Action::Report(Obstacle::Overtaken { peer, ballot })]
            }
            // An answer to an earlier start.
            Answer::Holds { .. } => Vec::new(),
            Answer::OtherRules { rules } => {
                vec![Action::Report(Obstacle::OtherRules { peer, theirs: rules })]
            }
        }
    }

    /// What this start proposes: the cluster id of the volume, under a new number.
    fn ballot(&self) -> Ballot {
        let cluster_id = self.accepted.as_ref().map_or(self.drawn, |accepted| accepted.ballot.cluster_id);
        Ballot { number: self.own.incarnation, initiator: self.own.raft_id, cluster_id }
    }

    /// The proposal is on the volume before anybody hears of it.
    fn prepare(&mut self) -> Option<Action> {
        let acceptance = Acceptance { ballot: self.ballot(), earlier: Vec::new() };
        let is_kept = self.accepted.replace(acceptance.clone()) == Some(acceptance.clone());
        (!is_kept).then_some(Action::Store(acceptance))
    }

    fn ask(&self) -> Vec<Action> {
        let proposal = Proposal { ballot: self.ballot(), rules: self.rules.clone() };
        let silent = self.rules.others().filter(|peer| !self.answers.contains_key(*peer));
        silent.map(|peer| Action::Ask { peer: peer.clone(), proposal: proposal.clone() }).collect()
    }

    fn count(&mut self, peer: String, acceptance: &Acceptance) -> Vec<Action> {
        if acceptance.ballot != self.ballot() || !self.rules.is_candidate(&peer) {
            return Vec::new();
        }
        self.answers.insert(peer, acceptance.is_first());
        if self.is_enough() { self.found() } else { Vec::new() }
    }

    fn is_enough(&self) -> bool {
        let first = self.answers.values().filter(|is_first| **is_first).count();
        (self.policy.is_enough)(self.rules.others().count(), first, self.answers.len())
    }

    /// Repeated at each retry until the id is adopted.
    fn found(&mut self) -> Vec<Action> {
        self.phase = Phase::Founding;
        vec![Action::Found { cluster_id: self.ballot().cluster_id }]
    }
}
