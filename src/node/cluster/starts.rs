//! Which starts of nodes are over, by the books of the cluster.

use std::time::Duration;

use playhouse_cluster::{
    environment::{Environment, watch},
    membership::{Member, MemberState},
};

use super::system::Known;
use crate::process::Home;

/// For how long news of a node that has joined may be on their way. A node that is not in the books and started before that is none
/// of this cluster: the volume was copied from another one, or the node has left long ago.
const NEWS_WITHIN: Duration = Duration::from_secs(300);

/// Whether the cluster has given that start of a node up.
pub(in crate::node) fn is_over(
    known: &watch::Receiver<Known>,
    environment: &Environment,
    home: Home,
) -> bool {
    let known = known.borrow().clone();
    known.is_some_and(|state| is_over_by(state.member(home.node), environment.wall_ms(), home))
}

/// It has heard of a later start, or the node is down or has left, or is none of it.
fn is_over_by(member: Option<&Member>, now_ms: u64, home: Home) -> bool {
    let Some(member) = member else {
        return u128::from(now_ms.saturating_sub(home.incarnation.0)) > NEWS_WITHIN.as_millis();
    };
    member.incarnation > home.incarnation || matches!(member.state, MemberState::Down | MemberState::Left)
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::{consensus::RaftId, identity::Incarnation, membership::Intent};

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn home(incarnation: u64) -> Home {
        Home { node: RaftId(7), incarnation: Incarnation(incarnation) }
    }

    fn member(incarnation: u64, state: MemberState) -> Member {
        Member {
            name: "node-7".to_owned(),
            raft_id: RaftId(7),
            incarnation: Incarnation(incarnation),
            zone: String::new(),
            track: String::new(),
            release: String::new(),
            protocol: (1, 1),
            state,
            intent: Intent::Stay,
            since_ms: 0,
        }
    }

    #[test]
    fn a_later_start_ends_the_earlier_one_and_not_the_other_way_round() {
        let again = member(11, MemberState::Up);
        assert!(is_over_by(Some(&again), NOW_MS, home(10)));
        assert!(!is_over_by(Some(&again), NOW_MS, home(11)));
        assert!(!is_over_by(Some(&again), NOW_MS, home(12)), "news of it are on their way");
    }

    #[test]
    fn a_node_that_is_down_or_has_left_is_over_and_one_that_drains_is_not() {
        use MemberState::*;
        for (state, is_over) in [(Joining, false), (Up, false), (Draining, false), (Down, true), (Left, true)]
        {
            assert_eq!(is_over_by(Some(&member(10, state)), NOW_MS, home(10)), is_over, "{state:?}");
        }
    }

    /// A name that came with a copy of a volume would be taken for ever.
    #[test]
    fn a_node_that_the_cluster_does_not_know_is_over_unless_it_has_just_started() {
        assert!(!is_over_by(None, NOW_MS, home(NOW_MS - 1_000)));
        assert!(is_over_by(None, NOW_MS, home(NOW_MS - 301_000)));
    }
}
