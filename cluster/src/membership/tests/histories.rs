//! Random commands, sensible or not: what must hold after each of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::{super::*, support::*};
use crate::{consensus::RaftId, identity::Incarnation};

/// A few names, volumes and starts, so that they meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let id = || prop_oneof![4 => 100..105u64, 1 => 200..205u64].prop_map(RaftId);
    let start = || prop_oneof![3 => Just(1), 1 => 2..4u64].prop_map(Incarnation);
    let voters = || prop::collection::btree_set(id(), 0..4);
    let which = || prop_oneof![1 => Just(Which::System), 4 => (0..=SHARDS).prop_map(Which::Shard)];
    let join = (0..5u64, prop::bool::weighted(0.2), 1..4u64, 0..3u64, any::<bool>(), any::<bool>());
    let join = join.prop_map(|(number, is_second, start, back, is_new, other_is_heard)| {
        let raft_id = number + if is_second { 200 } else { 100 };
        let volume = if is_new { Volume::New } else { Volume::Of(CLUSTER) };
        let previous = Incarnation(start.saturating_sub(back));
        let node = Node { previous, volume, ..node(&format!("n-{number}"), raft_id, start) };
        Command::Join { node, other_is_heard }
    });
    let begin = (which(), voters(), id(), prop::option::of(id()), any::<bool>());
    let begin = begin.prop_map(|(which, voters, shard, leader, abandons)| {
        let abandon = abandons.then_some(which).into_iter().collect();
        let start = vec![Start { which, voters, reason: Reason::Balance }];
        let leaders = leader.map(|id| ((shard.0 % 4) as u32, Some(id))).into_iter().collect();
        if abandons {
            Plan { abandon, leaders, ..Plan::default() }
        } else {
            Plan { abandon, start, leaders: Vec::new() }
        }
    });
    let one = prop_oneof![
        5 => join,
        5 => (id(), start()).prop_map(|(raft_id, incarnation)| Command::Reached { raft_id, incarnation }),
        1 => (id(), start()).prop_map(|(raft_id, incarnation)| Command::Drain { raft_id, incarnation }),
        1 => id().prop_map(|raft_id| Command::Undrain { raft_id }),
        2 => (id(), start()).prop_map(|(raft_id, incarnation)| Command::Unreachable { raft_id, incarnation }),
        1 => id().prop_map(|raft_id| Command::Replace { raft_id }),
        1 => (0..6u64, any::<bool>()).prop_map(|(number, force)| Command::Leave {
            names: [format!("n-{number}")].into(), force }),
        1 => (0..7u32, any::<bool>()).prop_map(|(to, force)| scale(to, force)),
        2 => id().prop_map(|raft_id| Command::Forget { raft_id }),
        4 => (which(), voters(), 0..40u64).prop_map(|(which, voters, at)| Command::Moved { which, voters, at }),
        6 => begin.prop_map(Command::Plan),
    ];
    vec(one, 1..120)
}

/// What was true once and must never cease to be.
#[derive(Default)]
struct Past {
    incarnations: BTreeMap<RaftId, Incarnation>,
    gone: BTreeSet<RaftId>,
}

impl Past {
    fn check(&mut self, state: &ClusterState) {
        for member in state.members().values() {
            let known = self.incarnations.entry(member.raft_id).or_insert(member.incarnation);
            assert!(*known <= member.incarnation, "an incarnation went back");
            *known = member.incarnation;
            assert!(!self.gone.contains(&member.raft_id), "a former member came back");
            if member.state == MemberState::Left {
                assert!(member.intent == Intent::Leave);
            }
        }
        self.gone.extend(state.former().iter().map(|former| former.raft_id));
    }
}

fn check(state: &ClusterState) {
    let names: BTreeSet<_> = state.members().values().map(|member| &member.name).collect();
    assert_eq!(names.len(), state.members().len(), "two members have one name");
    let former: BTreeSet<_> = state.former().iter().map(|former| former.raft_id).collect();
    let is_known = |id: &RaftId| state.member(*id).is_some() || former.contains(id);
    for replicas in state.all_replicas() {
        assert!(!replicas.voters.is_empty(), "a group has no voter");
        assert!(replicas.voters.iter().chain(replicas.planned()).all(is_known), "a voter is unknown");
        assert!(replicas.planned().difference(&replicas.voters).count() <= 1);
        assert!(replicas.voters.difference(replicas.planned()).count() <= 1);
    }
    for shard in state.map() {
        assert!(shard.preferred_leader.is_none_or(|id| shard.replicas.voters.contains(&id)));
    }
    assert_eq!(state.shards(), SHARDS);
    assert_eq!(ClusterState::decode(&state.encode().unwrap()).unwrap(), *state);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_configuration(commands in commands()) {
        let (mut state, mut past) = (grown(3), Past::default());
        for (now_ms, command) in commands.iter().enumerate() {
            let before = state.clone();
            if let Ok(Some(next)) = state.decide(command, now_ms as u64) {
                prop_assert_eq!(next.revision(), before.revision() + 1);
                prop_assert!(next.changed_ms() >= before.changed_ms());
                // The same command again changes nothing more, or is refused.
                if let Ok(Some(twice)) = next.decide(command, now_ms as u64) {
                    prop_assert!(false, "{:?} changed {:?} twice, to {:?}", command, next, twice);
                }
                state = next;
            }
            check(&state);
            past.check(&state);
        }
    }
    /// However many are decided at once: the same answers, and the same configuration.
    #[test]
    fn commands_are_decided_at_once_as_one_after_the_other(commands in commands(), some in 1..40usize) {
        let (mut one, mut all) = (grown(3), grown(3));
        for (now_ms, commands) in commands.chunks(some).enumerate() {
            let now_ms = (now_ms as u64) * 7 % 30; // It runs back, too.
            let answers: Vec<_> = commands
                .iter()
                .map(|command| {
                    one = one.decide(command, now_ms)?.unwrap_or_else(|| one.clone());
                    Ok(one.revision())
                })
                .collect();
            let decided = all.decide_all(commands, now_ms);
            prop_assert_eq!(decided.answers, answers);
            prop_assert_eq!(decided.next.is_some(), one != all);
            all = decided.next.unwrap_or(all);
            prop_assert_eq!(&all, &one);
        }
    }
}
