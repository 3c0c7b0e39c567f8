//! Random lives of a cluster: whatever happens on the way, it comes to rest, even and complete.

use proptest::{collection::vec, prelude::*};

use super::{super::*, TEN_MINUTES_MS, simulation::Simulation};
use crate::membership::{Command, MemberState};

#[derive(Clone, Debug)]
enum Happens {
    Join(usize),
    Restart(usize),
    Drain(usize),
    Down(usize),
    Reach(usize),
    LoseVolume(usize),
    Scale(u32),
    Wait,
    /// Plan, then confirm every so-many-th move.
    Plan(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let number = || 0..8usize;
    let one = prop_oneof![
        2 => (0..3usize).prop_map(Happens::Join),
        2 => number().prop_map(Happens::Restart),
        1 => number().prop_map(Happens::Drain),
        2 => number().prop_map(Happens::Down),
        3 => number().prop_map(Happens::Reach),
        1 => number().prop_map(Happens::LoseVolume),
        1 => (3..8u32).prop_map(Happens::Scale),
        1 => Just(Happens::Wait),
        8 => (1..4usize).prop_map(Happens::Plan),
    ];
    vec(one, 1..40)
}

/// Whether the member can do what it is to do; a lost volume must not be the one that a majority needs.
fn is_possible(cluster: &Simulation, number: usize, happens: &Happens) -> bool {
    let state = cluster.member(number).state;
    let is_live = cluster.member(number).is_live();
    match happens {
        Happens::Restart(_) => state != MemberState::Left,
        Happens::Drain(_) => is_live,
        Happens::Reach(_) => matches!(state, MemberState::Joining | MemberState::Down),
        Happens::Down(_) => is_live,
        Happens::LoseVolume(_) => state != MemberState::Left && survives(cluster, number),
        _ => true,
    }
}

/// Whether every group keeps a majority of volumes, those that are down included, if this one is lost.
fn survives(cluster: &Simulation, number: usize) -> bool {
    let id = cluster.id(number);
    cluster.state.all_replicas().all(|replicas| {
        let kept = |voter: &&RaftId| **voter != id && cluster.state.member(**voter).is_some();
        replicas.voters.iter().filter(kept).count() * 2 > replicas.voters.len()
    })
}

fn happen(cluster: &mut Simulation, happens: &Happens) {
    cluster.now_ms += 1000;
    match happens {
        Happens::Join(zone) if cluster.names() < 8 => cluster.join(["a", "b", "c"][*zone]),
        Happens::Join(_) => {}
        Happens::Wait => cluster.now_ms += TEN_MINUTES_MS,
        Happens::Scale(to) => {
            let command = Command::Scale { set: "n".into(), to: *to, force: false };
            if let Ok(Some(next)) = cluster.state.decide(&command, cluster.now_ms) {
                cluster.state = next;
            }
        }
        Happens::Plan(every) => {
            cluster.plan();
            cluster.moving().into_iter().step_by(*every).for_each(|which| cluster.confirm(which));
        }
        Happens::Restart(number)
        | Happens::Drain(number)
        | Happens::Down(number)
        | Happens::Reach(number)
        | Happens::LoseVolume(number) => {
            let number = number % cluster.names();
            if is_possible(cluster, number, happens) {
                act(cluster, number, happens);
            }
        }
    }
}

fn act(cluster: &mut Simulation, number: usize, happens: &Happens) {
    match happens {
        Happens::Restart(_) => cluster.restart(number),
        Happens::Drain(_) => cluster.drain(number),
        Happens::Down(_) => cluster.down(number),
        Happens::Reach(_) => cluster.reach(number),
        Happens::LoseVolume(_) => cluster.lose_volume(number),
        _ => {}
    }
}

/// Everybody who has not left is back.
fn recover(cluster: &mut Simulation) {
    for number in 0..cluster.names() {
        match cluster.member(number).state {
            MemberState::Left | MemberState::Up => {}
            MemberState::Draining => {
                cluster.restart(number);
                cluster.reach(number);
            }
            MemberState::Joining | MemberState::Down => cluster.reach(number),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn every_life_ends_even_and_complete(
        zones in vec(0..3usize, 3..6),
        history in happenings(),
    ) {
        let zones: Vec<_> = zones.into_iter().map(|zone| ["a", "b", "c"][zone]).collect();
        let mut cluster = Simulation::grown(16, 3, &zones);
        for happens in &history {
            happen(&mut cluster, happens);
        }
        recover(&mut cluster);
        cluster.settle();
        cluster.is_at_rest();
        prop_assert_eq!(cluster.outlook().stuck, []);
        prop_assert!(cluster.state.progress().is_settled());
        for shard in cluster.state.map() {
            prop_assert_eq!(shard.replicas.voters.len(), 3);
            prop_assert!(shard.replicas.voters.iter().all(|id| cluster.state.member(*id).unwrap().is_available()));
        }
    }
}
