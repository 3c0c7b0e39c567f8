//! What the leader of the system group does unasked: sees who is there, and plans the next moves.

use std::{collections::BTreeMap, time::Duration};

use playhouse_cluster::environment::watch;
use playhouse_cluster::{
    consensus::{Group, Leadership, RaftId},
    identity::Incarnation,
    membership::{ClusterState, Command, Member, MemberState},
    placement,
};
use tokio::time::Instant;

use super::{
    control::{self, Ask, Told},
    council::Council,
    system::Known,
};

/// How often the steward looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it lets changes of the configuration gather before it looks again: each of them may have made room for the next
/// move, and to plan costs time for each shard.
const GATHERED_FOR: Duration = Duration::from_millis(100);
/// How long a member may be silent before the others are asked whether they hear it.
const SILENT_FOR: Duration = Duration::from_secs(3);

/// Watches members and plans moves, while this node leads the system group.
pub(in crate::node) struct Steward {
    pub(in crate::node) council: Council,
    pub(in crate::node) own: RaftId,
    pub(in crate::node) config: placement::Config,
}

impl Steward {
    /// Runs until `stopped`.
    pub(in crate::node) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut leadership = self.council.system.group().leadership();
        let mut known = self.council.system.known();
        let mut silent = BTreeMap::new();
        while !*stopped.borrow_and_update() {
            if matches!(*leadership.borrow_and_update(), Leadership::Leader { .. }) {
                drop(known.borrow_and_update());
                self.look(&mut silent).await;
            } else {
                silent.clear();
            }
            // An error means that the system group, or the node, is over: nobody tells any news, for ever.
            let heard = tokio::select! {
                biased;
                heard = stopped.changed() => heard,
                heard = leadership.changed() => heard,
                heard = gathered(&mut known) => heard,
                () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            };
            if heard.is_err() {
                return;
            }
        }
    }

    async fn look(&self, silent: &mut BTreeMap<RaftId, Instant>) {
        let Some(state) = self.council.system.known().borrow().clone() else { return };
        for member in state.members().values() {
            if let Some(command) = self.attend(member, silent).await {
                self.execute(&command).await;
            }
        }
        let known = |id: &RaftId| state.member(*id).is_some();
        silent.retain(|id, _| known(id));
        // What was attended to may have changed the configuration.
        let Some(state) = self.council.system.known().borrow().clone() else { return };
        self.plan(&state).await;
    }

    /// What the silence of a member means.
    async fn attend(&self, member: &Member, silent: &mut BTreeMap<RaftId, Instant>) -> Option<Command> {
        let now = self.council.environment.now();
        let (raft_id, incarnation) = (member.raft_id, member.incarnation);
        if self.hears(raft_id, incarnation) {
            // If it counts as down, it says itself when it has caught up.
            silent.remove(&raft_id);
            return None;
        }
        if matches!(member.state, MemberState::Down | MemberState::Left) {
            return None;
        }
        let since = *silent.entry(raft_id).or_insert(now);
        if now < since + SILENT_FOR || self.others_hear(raft_id, incarnation).await {
            return None;
        }
        tracing::warn!(member = member.name, "nobody hears this member; it counts as down");
        Some(Command::Unreachable { raft_id, incarnation })
    }

    fn hears(&self, raft_id: RaftId, incarnation: Incarnation) -> bool {
        let peering = self.council.peering.as_ref();
        raft_id == self.own || peering.is_some_and(|peering| control::hears(peering, raft_id, incarnation))
    }

    /// Asks those that we hear: our own link to the member may be the only thing that is broken.
    async fn others_hear(&self, raft_id: RaftId, incarnation: Incarnation) -> bool {
        let Some(peering) = &self.council.peering else { return false };
        let peers = peering.peers().borrow().clone();
        let others = peers.keys().copied().filter(|id| *id != raft_id);
        let asked = others.map(|other| async move {
            let told = control::ask(peering, other, &Ask::Hears(raft_id, incarnation)).await;
            matches!(told, Ok(Told::Hears(true)))
        });
        futures_util::future::join_all(asked).await.into_iter().any(|hears| hears)
    }

    async fn plan(&self, state: &ClusterState) {
        let outlook = placement::outlook(state, &self.config, self.council.environment.wall_ms());
        if !outlook.plan.is_empty() {
            self.execute(&Command::Plan(outlook.plan)).await;
        }
    }

    async fn execute(&self, command: &Command) {
        if let Err(error) = self.council.system.execute(command).await {
            tracing::info!(%error, ?command, "the configuration did not change");
        }
    }
}

/// Waits for news of the configuration, and what comes with it.
async fn gathered(known: &mut watch::Receiver<Known>) -> Result<(), watch::Closed> {
    known.changed().await?;
    tokio::time::sleep(GATHERED_FOR).await;
    Ok(())
}
