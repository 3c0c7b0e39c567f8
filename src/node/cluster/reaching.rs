//! Tells the cluster when this start of the node has caught up.

use std::time::Duration;

use playhouse_cluster::environment::watch;
use playhouse_cluster::{
    consensus::{GroupId, RaftId},
    identity::Incarnation,
    membership::{ClusterState, Command, MemberState, Which},
};

use super::{council::Council, shards::Groups};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the cluster may take to hear of it.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// Watches the replicas of this start.
pub(in crate::node) struct Reaching {
    pub(in crate::node) council: Council,
    pub(in crate::node) groups: Groups,
    pub(in crate::node) own: RaftId,
    pub(in crate::node) start: Incarnation,
    pub(in crate::node) has_reached: watch::Sender<bool>,
}

impl Reaching {
    /// Tells whenever everything that this node should have has caught up, and the cluster does not know; until `stopped`.
    pub(in crate::node) async fn run(self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow_and_update() {
            // Again and again: whoever was down, or drained and stays after all, is heard of anew.
            if self.is_told().await {
                self.has_reached.send_if_modified(|has_reached| !std::mem::replace(has_reached, true));
            }
            tokio::select! {
                biased;
                // An error means that the node was dropped.
                told = stopped.changed() => if told.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn is_told(&self) -> bool {
        let Some(state) = self.council.system.known().borrow().clone() else { return false };
        let Some(own) = state.member(self.own) else { return false };
        let must_tell = matches!(own.state, MemberState::Joining | MemberState::Down);
        if !must_tell && *self.has_reached.borrow() {
            // Nobody asks, and a look at each shard costs time.
            return true;
        }
        if !self.council.system.group().is_caught_up() || !self.has_all(&state) {
            return false;
        }
        if !must_tell {
            return true;
        }
        let reached = Command::Reached { raft_id: self.own, incarnation: self.start };
        self.council.submit(&reached, TELL_WITHIN).await.is_ok()
    }

    /// Whether each replica that the configuration has confirmed here is caught up.
    fn has_all(&self, state: &ClusterState) -> bool {
        (0..state.shards()).all(|shard| {
            let replicas = state.replicas(Which::Shard(shard));
            let is_here = replicas.is_some_and(|replicas| replicas.voters.contains(&self.own));
            !is_here || self.groups.get(GroupId(shard)).is_some_and(|group| group.is_caught_up())
        })
    }
}
