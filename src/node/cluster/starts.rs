//! Which starts of nodes are over, by the books of the cluster.

use playhouse_cluster::{environment::watch, membership::MemberState};

use super::system::Known;
use crate::process::Home;

/// Whether the cluster has given that start of a node up: it has heard of a later one, or the node is down or has left. A node that
/// is not known is not over: news of it may be on their way.
pub(in crate::node) fn is_over(known: &watch::Receiver<Known>, home: Home) -> bool {
    let known = known.borrow().clone();
    known.and_then(|state| state.member(home.node).cloned()).is_some_and(|member| {
        member.incarnation > home.incarnation || matches!(member.state, MemberState::Down | MemberState::Left)
    })
}
