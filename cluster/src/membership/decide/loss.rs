//! The configuration after a majority was lost for good.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ClusterState, Intent, MemberState, Refusal, Replicas, Which};
use crate::{consensus::RaftId, identity::ClusterId};

/// What an operator gives up, and what goes on. The groups in it have one voter now, the survivor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The member that goes on.
    pub survivor: RaftId,
    /// The members that never come back.
    pub lost: BTreeSet<RaftId>,
    /// Each group that was recovered, with the log index from which on the survivor is its only voter.
    pub recovered: BTreeMap<Which, u64>,
    /// The cluster goes on under this id: nothing of the old one can reach it.
    pub cluster_id: ClusterId,
}

impl ClusterState {
    /// The configuration after a loss. What was lost is former; what was recovered is on the survivor alone.
    ///
    /// # Errors
    ///
    /// When the survivor, or somebody who is lost, is no member.
    pub fn after_loss(&self, loss: &Loss, now_ms: u64) -> Result<Self, Refusal> {
        let mut next = self.clone();
        next.clock_ms = self.clock_ms.max(now_ms);
        next.revision += 1;
        next.beginning = None;
        next.cluster_id = loss.cluster_id;
        for (which, index) in &loss.recovered {
            let replicas = next.replicas_mut(*which)?;
            let voters = BTreeSet::from([loss.survivor]);
            *replicas = Replicas { voters, confirmed_at: *index, wanted: None };
            if let Which::Shard(shard) = which {
                next.map[*shard as usize].preferred_leader = Some(loss.survivor);
            }
        }
        let now_ms = next.clock_ms;
        let survivor = next.known(loss.survivor)?;
        survivor.intent = Intent::Stay;
        survivor.enter(MemberState::Joining, now_ms);
        for raft_id in &loss.lost {
            next.retire(*raft_id, None)?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::tests::support::{again, grown, join, node},
        *,
    };
    use crate::{identity::Incarnation, membership::Volume};

    fn all_but_the_first(state: &ClusterState) -> Loss {
        let survivor = RaftId(100);
        let shards = (0..state.shards()).map(|shard| (Which::Shard(shard), 70 + u64::from(shard)));
        Loss {
            survivor,
            lost: state.members().keys().copied().filter(|id| *id != survivor).collect(),
            recovered: shards.chain([(Which::System, 9)]).collect(),
            cluster_id: ClusterId(77),
        }
    }

    #[test]
    fn after_a_loss_the_survivor_has_everything_and_the_lost_never_return() {
        let state = grown(3);
        let after = state.after_loss(&all_but_the_first(&state), 1_000_000).unwrap();
        assert_eq!((after.cluster_id(), after.revision()), (ClusterId(77), state.revision() + 1));
        assert_eq!(after.members().keys().collect::<Vec<_>>(), [&RaftId(100)]);
        for replicas in after.all_replicas() {
            assert!(replicas.voters.iter().eq([&RaftId(100)]) && replicas.wanted.is_none());
        }
        assert_eq!(after.map()[1].replicas.confirmed_at, 71);
        assert!(after.has_quorum(&after.system().voters));
        let old = again("n-1", 101, 1);
        assert!(matches!(after.decide(&join(old.clone()), 0), Err(Refusal::OtherCluster { .. })));
        let forged = super::super::super::Node { volume: Volume::New, ..old };
        assert!(matches!(after.decide(&join(forged), 0), Err(Refusal::Former { .. })));
    }

    #[test]
    fn after_a_loss_the_survivor_restarts_and_new_volumes_join_under_the_old_names() {
        let state = grown(3);
        let mut after = state.after_loss(&all_but_the_first(&state), 1_000_000).unwrap();
        let volume = Volume::Of(ClusterId(77));
        let restarted = super::super::super::Node { volume, ..again("n-0", 100, 1) };
        after = after.decide(&join(restarted), 0).unwrap().unwrap();
        after = after.decide(&join(node("n-1", 201, 3)), 0).unwrap().unwrap();
        assert_eq!(after.member_named("n-1").unwrap().incarnation, Incarnation(3));
    }

    #[test]
    fn a_loss_of_strangers_is_refused() {
        let state = grown(3);
        let loss = all_but_the_first(&state);
        let lost = BTreeSet::from([RaftId(5)]);
        assert!(state.after_loss(&Loss { lost, ..loss.clone() }, 0).is_err());
        assert!(state.after_loss(&Loss { survivor: RaftId(5), ..loss }, 0).is_err());
    }
}
