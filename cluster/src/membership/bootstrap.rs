//! How a cluster begins, so that there are never two.
//!
//! Comes in: what the volume says, what peers ask and answer over authenticated links, and the passing of time as
//! [`Event::Retry`]. Leaves: [`Action`]s, to be performed in order, each one completely before the next.
//! [`Bootstrap`] holds no socket, clock or disk; it is made anew at each start.
//!
//! # The rules
//!
//! All nodes have the same [`Rules`]: a list of names, and which of them is the *initiator*. The others on the list are
//! *candidates*. Everybody else only joins.
//!
//! 1. **The initiator proposes** while its volume belongs to no cluster. It draws one cluster id per volume and keeps it
//!    on the volume before it asks anybody. Each start is a new *ballot*: the same id, numbered by the incarnation.
//! 2. **A candidate accepts** a ballot if its volume belongs to no cluster and its rules are the same. It keeps one
//!    [`Acceptance`] on its volume, durable before it answers, and remembers whether it is the *first* cluster id
//!    that the volume ever accepted. It changes to another cluster id only for a higher ballot, never back.
//! 3. **The initiator founds** when, in one start, for its current ballot, either a majority *of the others* on the list
//!    accepted it first, or *all* others accepted it. To found is to adopt the cluster id, durably; then to
//!    initialise the system group with itself as the only voter.
//! 4. **A node adopts** a cluster id once and for ever: the one that it accepted last; or any, when it is certain that
//!    nothing else that it ever accepted will be founded, because the volumes that proposed it have adopted the
//!    living cluster, too ([`Bootstrap::check_join`]).
//! 5. **One answer is a veto**: an initiator that hears of a living cluster proposes nothing more in that start, and joins.
//!
//! # Why there are never two
//!
//! Call a *volume* what one Raft id stands for. Only the initiator's name proposes, and one volume of it proposes one
//! cluster id, so two clusters A ≠ B need two volumes of the initiator: its volume was lost (or is used twice). Say A's
//! ballots that led to the founding are lower than B's. Let O be the other names on the list.
//!
//! *Both were founded by a majority of O.* The majorities share a name. It accepted both *first*, which one volume does once,
//! so its volume was lost, too: for an odd list two names in O are shared, and both lost theirs.
//!
//! *B was founded by all of O.* Let x in O adopt A, on the volume v. If v accepted B before, it went back from a
//! higher ballot or adopted against rule 4: excluded, as B's initiator founded B instead of adopting A. If v adopted A
//! before, it does not accept B. So x accepted B on another volume than v, and one of the two was lost.
//!
//! *A was founded by all of O, B by a majority.* Each name of that majority accepted B first, and A as well: on the
//! same volume it would have gone back from B to A. So all of the majority lost their volumes.
//!
//! Therefore: **two clusters have members on the list besides their initiator only if the initiator's volume and at least
//! one other listed volume were lost or used twice.** An initiator that loses its volume again and again, alone, does no
//! harm, even if all its volumes run on. If what is lost is gone, and only one other name loses volumes, then the
//! volumes that are left belong to one cluster still. (The tests look for both in random histories.)
//!
//! What can be left behind is a cluster with no other member, on a lost volume of the initiator. So until a
//! majority of the others has joined ([`ClusterState::is_beginning`](super::ClusterState::is_beginning)), a cluster admits
//! nobody who is not on the list, and should acknowledge nothing to clients.
//!
//! Counting the initiator itself in the majority would not do: in a list of three, the initiator and x found A, x joins, the
//! initiator loses its volume, and while x is away it founds B with y. The tests show this history, and let a weaker rule
//! fail in the same random histories that the real one passes.

mod acceptor;
mod initiator;
mod rules;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

pub use rules::{LISTED_MAX, Rules, RulesError};
pub use stored::AcceptanceError;

/// One attempt of one volume of the initiator. The order is that of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// The start that proposes.
    pub number: Incarnation,
    /// The volume that proposes.
    pub initiator: RaftId,
    /// What it proposes, always the same from one volume.
    pub cluster_id: ClusterId,
}

/// What a node keeps on its volume until it has adopted a cluster id. The initiator keeps its own proposal so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The highest ballot that was accepted.
    pub ballot: Ballot,
    /// For each other cluster id that was ever accepted, its last ballot. At most [`CHANGES_MAX`].
    pub earlier: Vec<Ballot>,
}

impl Acceptance {
    /// Whether the volume never accepted another cluster id.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.earlier.is_empty()
    }
}

/// How often a candidate changes to another cluster id. Past this it accepts none any more and needs an empty volume.
pub const CHANGES_MAX: usize = 16;

/// What the initiator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its attempt.
    pub ballot: Ballot,
    /// The rules that it follows.
    pub rules: Rules,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is on the volume.
    Accepted(Acceptance),
    /// The volume belongs to a cluster.
    Belongs {
        /// To this one.
        cluster_id: ClusterId,
    },
    /// A higher ballot was accepted.
    Holds {
        /// This one.
        ballot: Ballot,
    },
    /// The candidate follows other rules, or is not a candidate by them.
    OtherRules {
        /// These.
        rules: Rules,
    },
}

/// What happens to a node that belongs to no cluster yet. Peers are named as the link authenticated them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Some time has passed, or a peer connected: ask again.
    Retry,
    /// A peer proposes.
    Asked {
        /// Who.
        peer: String,
        /// What.
        proposal: Proposal,
    },
    /// A peer answers.
    Answered {
        /// Who.
        peer: String,
        /// What.
        answer: Answer,
    },
    /// A peer, on the list or not, says that its volume belongs to a cluster.
    Met {
        /// Who.
        peer: String,
        /// Which.
        cluster_id: ClusterId,
    },
    /// The cluster id is on our volume, durably.
    Adopted {
        /// Which.
        cluster_id: ClusterId,
    },
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep this on the volume, durably, before the next action. If that fails, drop the rest and stop the node.
    Store(Acceptance),
    /// Ask a peer, if it can be reached.
    Ask {
        /// Whom.
        peer: String,
        /// What.
        proposal: Proposal,
    },
    /// Answer the peer.
    Answer {
        /// Whom.
        peer: String,
        /// What.
        answer: Answer,
    },
    /// Adopt the cluster id, durably; then initialise the system group with this node as its only voter; then tell
    /// [`Event::Adopted`].
    Found {
        /// The new cluster.
        cluster_id: ClusterId,
    },
    /// There is a cluster: ask the peer to join, after [`Bootstrap::check_join`].
    Join {
        /// Who belongs to it.
        peer: String,
        /// Which it is.
        cluster_id: ClusterId,
    },
    /// Tell the operator.
    Report(Obstacle),
}

/// Why the initiator makes no progress with a peer. It keeps trying.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// The peer has other settings.
    #[error(
        "{peer} follows other bootstrap rules ({theirs}); nothing is founded until both sides have the same"
    )]
    OtherRules {
        /// Who.
        peer: String,
        /// What it follows.
        theirs: Rules,
    },
    /// The peer accepted a later proposal by another volume of ours.
    #[error(
        "{peer} accepted a later proposal, by the volume {} of this name: either another node runs under this name, or the clock of this one is behind; stop the other, or correct the clock and restart", ballot.initiator.0
    )]
    Overtaken {
        /// Who.
        peer: String,
        /// What it accepted.
        ballot: Ballot,
    },
}

/// Why a node must not adopt the id of a cluster now. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The volume belongs to another cluster.
    #[error("the volume belongs to the cluster {0}; give the node an empty volume to join another one")]
    Belongs(ClusterId),
    /// The volume accepted a cluster that may still be founded.
    #[error(
        "the volume accepted the cluster {}, proposed by the volume {}, which may still be founded; wait until that volume is up in the cluster to be joined, or give this node an empty volume", _0.cluster_id, _0.initiator.0
    )]
    Promised(Ballot),
}

/// Who this node is, from its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Its volume.
    pub raft_id: RaftId,
    /// This start.
    pub incarnation: Incarnation,
    /// The cluster that the volume belongs to.
    pub adopted: Option<ClusterId>,
}

/// The part of one node, from its start until it belongs to a cluster, and its answers afterwards.
#[derive(Debug)]
pub struct Bootstrap {
    rules: Rules,
    own: Own,
    /// What is on the volume.
    accepted: Option<Acceptance>,
    /// A cluster id for the case that this volume has to propose one.
    drawn: ClusterId,
    /// The others that accepted the ballot of this start, and whether first.
    answers: BTreeMap<String, bool>,
    phase: Phase,
    policy: Policy,
}

/// How far this start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is decided.
    Open,
    /// Enough others accepted.
    Founding,
    /// There is a living cluster: nothing is proposed in this start.
    Joining,
}

/// The two decisions that everything hangs on, apart from the rest so that a test can show what happens if they are
/// weaker.
#[derive(Clone, Copy, Debug)]
struct Policy {
    /// Of `others`, so many accepted first, so many at all.
    is_enough: fn(others: usize, first: usize, all: usize) -> bool,
    /// Whether a volume that holds a ballot may change to another cluster id.
    may_change: fn(held: &Ballot, new: &Ballot) -> bool,
}

const POLICY: Policy = Policy {
    is_enough: |others, first, all| first > others / 2 || all == others,
    may_change: |held, new| new > held,
};

impl Bootstrap {
    /// The part of a node at its start. `stored` is what [`Action::Store`] kept on this volume; `drawn` is a new random
    /// cluster id that is used only if there is nothing stored.
    #[must_use]
    pub fn new(rules: Rules, own: Own, stored: Option<Acceptance>, drawn: ClusterId) -> Self {
        let (answers, phase, policy) = (BTreeMap::new(), Phase::Open, POLICY);
        Self { rules, own, accepted: stored, drawn, answers, phase, policy }
    }

    /// What follows from an event.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Retry => self.retry(),
            Event::Asked { peer, proposal } => self.asked(peer, &proposal),
            Event::Answered { peer, answer } => self.answered(peer, answer),
            Event::Met { peer, cluster_id } => self.met(peer, cluster_id),
            Event::Adopted { cluster_id } => {
                self.own.adopted = Some(cluster_id);
                Vec::new()
            }
        }
    }

    /// Whether this node may adopt the id of a living cluster now. Check it before asking to join, and again before
    /// adopting. `has_adopted` tells whether that cluster knows a volume as a member that has adopted its id:
    /// [`ClusterState::has_adopted`](super::ClusterState::has_adopted).
    ///
    /// # Errors
    ///
    /// When two clusters could come of it.
    pub fn check_join(
        &self,
        cluster_id: ClusterId,
        has_adopted: impl Fn(RaftId) -> bool,
    ) -> Result<(), JoinError> {
        match (self.own.adopted, &self.accepted) {
            (Some(adopted), _) if adopted == cluster_id => Ok(()),
            (Some(adopted), _) => Err(JoinError::Belongs(adopted)),
            (None, None) => Ok(()),
            (None, Some(accepted)) if accepted.ballot.cluster_id == cluster_id => Ok(()),
            (None, Some(Acceptance { ballot, earlier })) => {
                let is_given_up = |id: RaftId| id == self.own.raft_id && self.phase == Phase::Joining;
                let is_open = |ballot: &&Ballot| {
                    let id = ballot.initiator;
                    ballot.cluster_id != cluster_id && !is_given_up(id) && !has_adopted(id)
                };
                let open = earlier.iter().chain([ballot]).find(is_open);
                open.map_or(Ok(()), |ballot| Err(JoinError::Promised(*ballot)))
            }
        }
    }

    /// Whether this volume founded the cluster that it belongs to. At its start, such a node makes sure that the system group
    /// is initialised: it may have stopped between adopting the id and that.
    #[must_use]
    pub fn is_founder(&self) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| {
            let ballot = accepted.ballot;
            ballot.initiator == self.own.raft_id && self.own.adopted == Some(ballot.cluster_id)
        })
    }

    fn met(&mut self, peer: String, cluster_id: ClusterId) -> Vec<Action> {
        // What was found to be enough is founded, heard or not: it may be on the volume already.
        if self.own.adopted.is_some() || self.phase == Phase::Founding {
            return Vec::new();
        }
        self.phase = Phase::Joining;
        vec![Action::Join { peer, cluster_id }]
    }

    fn is_initiator(&self) -> bool {
        self.own.name == self.rules.initiator()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
