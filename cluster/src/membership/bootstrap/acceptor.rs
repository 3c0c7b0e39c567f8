//! A candidate: it keeps one promise at a time.

use super::{Acceptance, Action, Answer, Ballot, Bootstrap, CHANGES_MAX, Proposal};

impl Bootstrap {
    pub(super) fn asked(&mut self, peer: String, proposal: &Proposal) -> Vec<Action> {
        let ballot = proposal.ballot;
        if let Some(cluster_id) = self.own.adopted {
            return vec![Action::Answer { peer, answer: Answer::Belongs { cluster_id } }];
        }
        let is_proper = proposal.rules == self.rules && peer == self.rules.initiator();
        if !is_proper || !self.rules.is_candidate(&self.own.name) {
            let rules = self.rules.clone();
            return vec![Action::Answer { peer, answer: Answer::OtherRules { rules } }];
        }
        let Some(acceptance) = self.accepting(ballot) else {
            let ballot = self.accepted.as_ref().map_or(ballot, |held| held.ballot);
            return vec![Action::Answer { peer, answer: Answer::Holds { ballot } }];
        };
        let is_kept = self.accepted.replace(acceptance.clone()) == Some(acceptance.clone());
        let store = (!is_kept).then(|| Action::Store(acceptance.clone()));
        let answer = Action::Answer { peer, answer: Answer::Accepted(acceptance) };
        store.into_iter().chain([answer]).collect()
    }

    /// What is on the volume once it has accepted the ballot, if it may.
    fn accepting(&self, ballot: Ballot) -> Option<Acceptance> {
        let Some(held) = &self.accepted else {
            return Some(Acceptance { ballot, earlier: Vec::new() });
        };
        if held.ballot.cluster_id == ballot.cluster_id {
            return (ballot >= held.ballot).then(|| Acceptance { ballot, ..held.clone() });
        }
        let others = held.earlier.iter().filter(|other| other.cluster_id != ballot.cluster_id);
        let earlier: Vec<_> = others.copied().chain([held.ballot]).collect();
        let may = earlier.len() <= CHANGES_MAX && (self.policy.may_change)(&held.ballot, &ballot);
        may.then_some(Acceptance { ballot, earlier })
    }
}
