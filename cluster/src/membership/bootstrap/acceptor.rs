//! A candidate: it keeps one promise at a time.

use super::{Acceptance, Action, Answer, Bootstrap, Proposal};

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
        let acceptance = match self.accepted {
            None => Acceptance { ballot, is_first: true },
            Some(held) if held.ballot == ballot => held,
            Some(held) if held.ballot.cluster_id == ballot.cluster_id && ballot > held.ballot => {
                Acceptance { ballot, ..held }
            }
            Some(held)
                if held.ballot.cluster_id != ballot.cluster_id
                    && (self.policy.may_change)(&held.ballot, &ballot) =>
            {
                Acceptance { ballot, is_first: false }
            }
            Some(Acceptance { ballot, .. }) => {
                return vec![Action::Answer { peer, answer: Answer::Holds { ballot } }];
            }
        };
        let is_kept = self.accepted.replace(acceptance) == Some(acceptance);
        let store = (!is_kept).then_some(Action::Store(acceptance));
        let answer = Action::Answer { peer, answer: Answer::Accepted(acceptance) };
        store.into_iter().chain([answer]).collect()
    }
}
