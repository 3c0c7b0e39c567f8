//! Which starts of nodes are over, by the books of the cluster.
//!
//! Comes in: what this node knows of the cluster, and a way to its leader. Leaves: whether what lived in a certain start of a node
//! is gone. That a start was followed by another one, or its volume retired, stays true for ever; that it is down may have
//! changed, so before anybody acts on that the leader is asked.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use playhouse_cluster::{
    environment::watch,
    membership::{ClusterState, Command, MemberState, Plan},
};

use super::{council::Council, system::Known};
use crate::{
    node::operator::WayToCouncil,
    process::{Home, Starts},
};

/// How long it may take to hear how the books are now.
const NEWS_WITHIN: Duration = Duration::from_secs(2);

/// The starts of all nodes, as one node knows them.
pub(in crate::node) struct Books {
    pub(in crate::node) known: watch::Receiver<Known>,
    /// It leads nowhere when the node is gone: a process that has a name outlives it, and must not keep its files open.
    pub(in crate::node) council: WayToCouncil,
}

/// How a start of a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is there, or will be.
    Stands,
    /// The cluster has given it up, but it may be reached again.
    Down,
    /// Another start followed it, or the volume never comes back.
    Over,
    /// News of it may be on their way, or it was forgotten long ago.
    Unknown,
}

impl Starts for Books {
    fn is_over(&self, home: Home) -> bool {
        matches!(self.standing(home), Standing::Down | Standing::Over)
    }

    fn is_over_by_now(&self, home: Home) -> BoxFuture<'_, bool> {
        async move {
            match self.standing(home) {
                Standing::Stands => false,
                Standing::Over => true,
                // Whoever is in no book although they are complete was there once, and has been forgotten.
                Standing::Down | Standing::Unknown => {
                    self.catch_up().await && self.standing(home) != Standing::Stands
                }
            }
        }
        .boxed()
    }
}

impl Books {
    fn standing(&self, home: Home) -> Standing {
        let known = self.known.borrow().clone();
        known.map_or(Standing::Unknown, |state| standing(&state, home))
    }

    /// Waits until the books here are at least as new as those of the leader are now.
    async fn catch_up(&self) -> bool {
        let Some(council) = (self.council)() else { return false };
        let Some(revision) = revision_now(&council).await else { return false };
        drop(council);
        let mut known = self.known.clone();
        let is_there = |known: &Known| known.as_ref().is_some_and(|state| state.revision() >= revision);
        let caught_up = tokio::time::timeout(NEWS_WITHIN, known.wait_for(is_there)).await;
        matches!(caught_up, Ok(Ok(_)))
    }
}

/// A plan to do nothing: the leader makes sure that it leads, and says which revision it has.
async fn revision_now(council: &Council) -> Option<u64> {
    council.submit(&Command::Plan(Plan::default()), NEWS_WITHIN).await.ok()
}

fn standing(state: &ClusterState, home: Home) -> Standing {
    let Some(member) = state.member(home.node) else {
        let is_former = state.former().iter().any(|former| former.raft_id == home.node);
        return if is_former { Standing::Over } else { Standing::Unknown };
    };
    let is_away = matches!(member.state, MemberState::Down | MemberState::Left);
    match member.incarnation.cmp(&home.incarnation) {
        std::cmp::Ordering::Greater => Standing::Over,
        std::cmp::Ordering::Equal if is_away => Standing::Down,
        // What is known of an earlier start says nothing about a later one.
        std::cmp::Ordering::Equal | std::cmp::Ordering::Less => Standing::Stands,
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::{
        consensus::RaftId,
        identity::{ClusterId, Incarnation},
        membership::{Founding, Node, Volume, bootstrap::Rules},
    };

    use super::*;

    const CLUSTER: ClusterId = ClusterId(7);

    fn node(number: u64, incarnation: u64) -> Node {
        Node {
            name: format!("n-{number}"),
            raft_id: RaftId(100 + number),
            incarnation: Incarnation(incarnation),
            previous: Incarnation(0),
            volume: Volume::New,
            shards: 4,
            zone: String::new(),
            track: "stable".to_owned(),
            release: "1.0.0".to_owned(),
            protocol: (1, 1),
        }
    }

    fn join(node: Node) -> Command {
        Command::Join { node, other_is_heard: false }
    }

    /// Two nodes with the volumes 100 and 101; the second is in its start 5.
    fn cluster(then: &[Command]) -> ClusterState {
        let rules = Rules::new("n-0".to_owned(), ["n-0".to_owned()].into()).unwrap();
        let founding = Founding { rules, cluster_id: CLUSTER, shards: 4, replication_factor: 3 };
        let founded = ClusterState::found(founding, &node(0, 1), 0).unwrap();
        let reached = Command::Reached { raft_id: RaftId(101), incarnation: Incarnation(5) };
        let all = [join(node(1, 5)), reached];
        all.iter().chain(then).fold(founded, |state, command| state.decide(command, 1).unwrap().unwrap())
    }

    fn of(state: &ClusterState, incarnation: u64) -> Standing {
        standing(state, Home { node: RaftId(101), incarnation: Incarnation(incarnation) })
    }

    #[test]
    fn an_earlier_start_is_over_and_a_later_one_stands() {
        let state = cluster(&[]);
        assert_eq!(
            [4, 5, 6].map(|start| of(&state, start)),
            [Standing::Over, Standing::Stands, Standing::Stands]
        );
    }

    /// The rejoin of start 6 may not have been heard here. It once counted as over because start 5 was down.
    #[test]
    fn that_a_start_is_down_says_nothing_about_the_next_one() {
        let away = Command::Unreachable { raft_id: RaftId(101), incarnation: Incarnation(5) };
        let state = cluster(&[away]);
        assert_eq!(
            [4, 5, 6].map(|start| of(&state, start)),
            [Standing::Over, Standing::Down, Standing::Stands]
        );
    }

    /// Its names once were taken for ever.
    #[test]
    fn a_node_that_lost_its_volume_is_over() {
        let away = Command::Unreachable { raft_id: RaftId(101), incarnation: Incarnation(5) };
        let empty = Node { name: "n-1".to_owned(), ..node(2, 9) };
        let state = cluster(&[away, join(empty)]);
        assert!(state.member(RaftId(101)).is_none(), "it is retired");
        assert_eq!([4, 5, 6].map(|start| of(&state, start)), [Standing::Over; 3]);
    }

    #[test]
    fn a_node_that_is_in_no_book_is_unknown() {
        let state = cluster(&[]);
        let home = Home { node: RaftId(999), incarnation: Incarnation(1) };
        assert_eq!(standing(&state, home), Standing::Unknown);
    }
}
