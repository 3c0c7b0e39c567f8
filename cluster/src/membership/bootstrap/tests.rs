//! Never two clusters: told as stories, and looked for in random histories.

use super::{
    model::{Weather, World},
    *,
};

const A: ClusterId = ClusterId(0xA);
const B: ClusterId = ClusterId(0xB);
const STEPS: usize = 400;
/// So many histories are enough to find what each weaker rule breaks.
const SEEDS: u64 = 6_000;

/// The design's first rule: a majority of all names, the initiator included.
const COUNTS_ITSELF: Policy = Policy { is_enough: |others, _, all| 2 * (all + 1) > others + 1, ..POLICY };
/// Who changed to it counts as who accepted it first.
const COUNTS_CHANGED: Policy = Policy { is_enough: |others, _, all| all > others / 2, ..POLICY };
/// Who was asked last is obeyed.
const CHANGES_BACK: Policy = Policy { may_change: |_, _| true, ..POLICY };

fn rules(count: usize) -> Rules {
    Rules::new("n0".into(), (0..count).map(|number| format!("n{number}")).collect()).unwrap()
}

/// A node of a list of `count`: the volume `raft_id`, just started.
fn node(count: usize, number: usize, raft_id: u64) -> Bootstrap {
    restarted(count, number, raft_id, None, Incarnation(raft_id))
}

fn restarted(
    count: usize,
    number: usize,
    raft_id: u64,
    stored: Option<Acceptance>,
    incarnation: Incarnation,
) -> Bootstrap {
    let own = Own { name: format!("n{number}"), raft_id: RaftId(raft_id), incarnation, adopted: None };
    Bootstrap::new(rules(count), own, stored, ClusterId(raft_id.into()))
}

/// Asks, lets the peer answer, and hands the answer back. What the initiator then does.
fn exchange(initiator: &mut Bootstrap, peer: &mut Bootstrap) -> Vec<Action> {
    let name = peer.own.name.clone();
    let asked = initiator.step(Event::Retry).into_iter().find_map(|action| match action {
        Action::Ask { peer, proposal } if peer == name => Some(proposal),
        _ => None,
    });
    let proposal = asked.expect("the initiator asks this peer");
    let actions = peer.step(Event::Asked { peer: initiator.own.name.clone(), proposal });
    let Some(Action::Answer { answer, .. }) = actions.last().cloned() else { panic!("{actions:?}") };
    initiator.step(Event::Answered { peer: name, answer })
}

fn adopt(node: &mut Bootstrap, cluster_id: ClusterId) {
    node.check_join(cluster_id, |_| false).unwrap();
    node.step(Event::Adopted { cluster_id });
}

#[test]
fn three_empty_nodes_found_one_cluster() {
    let (mut n0, mut n1, mut n2) = (node(3, 0, 0xA), node(3, 1, 1), node(3, 2, 2));
    assert_eq!(exchange(&mut n0, &mut n1), []); // Both others of two are needed.
    assert_eq!(exchange(&mut n0, &mut n2), [Action::Found { cluster_id: A }]);
    assert!(!n0.is_founder());
    n0.step(Event::Adopted { cluster_id: A });
    assert!(n0.is_founder());
    assert_eq!(n0.step(Event::Retry), []);
    adopt(&mut n1, A);
    assert_eq!(n1.check_join(B, |_| true), Err(JoinError::Belongs(A)));
}

#[test]
fn five_nodes_need_three_others() {
    let mut n0 = node(5, 0, 0xA);
    assert_eq!(exchange(&mut n0, &mut node(5, 1, 1)), []);
    assert_eq!(exchange(&mut n0, &mut node(5, 2, 2)), []);
    assert_eq!(exchange(&mut n0, &mut node(5, 3, 3)), [Action::Found { cluster_id: A }]);
}

#[test]
fn a_single_node_founds_alone_after_it_kept_the_id() {
    let mut n0 = node(1, 0, 0xA);
    let actions = n0.step(Event::Retry);
    assert!(matches!(actions[..], [Action::Store(_), Action::Found { cluster_id: A }]));
}

#[test]
fn only_the_named_initiator_proposes() {
    assert_eq!(node(3, 1, 1).step(Event::Retry), []);
    let mut canary = node(3, 7, 7);
    assert_eq!(canary.step(Event::Retry), []);
    // Nor does it accept: it is not on the list.
    let mut n0 = node(3, 0, 0xA);
    let Some(Action::Ask { proposal, .. }) = n0.step(Event::Retry).pop() else { panic!() };
    let actions = canary.step(Event::Asked { peer: "n0".into(), proposal: proposal.clone() });
    assert!(matches!(actions[..], [Action::Answer { answer: Answer::OtherRules { .. }, .. }]));
    // And nobody else's word counts as the initiator's.
    let actions = node(3, 1, 1).step(Event::Asked { peer: "n2".into(), proposal });
    assert!(matches!(actions[..], [Action::Answer { answer: Answer::OtherRules { .. }, .. }]));
}

#[test]
fn other_rules_are_refused_and_reported() {
    let (mut n0, mut n1) = (node(3, 0, 0xA), node(5, 1, 1));
    let actions = exchange(&mut n0, &mut n1);
    assert!(matches!(&actions[..], [Action::Report(Obstacle::OtherRules { peer, .. })] if peer == "n1"));
    assert_eq!(n1.accepted, None);
}

/// It is durable before it is said, and a restart neither forgets it nor says it anew.
#[test]
fn an_acceptance_is_kept_before_it_is_answered() {
    let (mut n0, mut n1) = (node(3, 0, 0xA), node(3, 1, 1));
    let actions = n0.step(Event::Retry);
    assert!(matches!(actions[..], [Action::Store(_), Action::Ask { .. }, Action::Ask { .. }]));
    let Some(Action::Ask { proposal, .. }) = actions.last().cloned() else { panic!() };
    let ask = Event::Asked { peer: "n0".into(), proposal };
    let first = n1.step(ask.clone());
    let [Action::Store(stored), answer] = &first[..] else { panic!("{first:?}") };
    let mut again = restarted(3, 1, 1, Some(stored.clone()), Incarnation(50));
    assert_eq!(again.step(ask), std::slice::from_ref(answer));
}

#[test]
fn a_restarted_initiator_proposes_the_same_id_and_counts_anew() {
    let (mut n0, mut n1, mut n2) = (node(3, 0, 0xA), node(3, 1, 1), node(3, 2, 2));
    exchange(&mut n0, &mut n1);
    let mut n0 = restarted(3, 0, 0xA, n0.accepted.clone(), Incarnation(100));
    n0.drawn = B; // It is not used.
    assert_eq!(exchange(&mut n0, &mut n2), []);
    assert_eq!(exchange(&mut n0, &mut n1), [Action::Found { cluster_id: A }]);
    assert!(n1.accepted.as_ref().unwrap().is_first());
}

#[test]
fn an_answer_to_an_earlier_start_does_not_count() {
    let (mut n0, mut n1, mut n2) = (node(3, 0, 0xA), node(3, 1, 1), node(3, 2, 2));
    exchange(&mut n0, &mut n1);
    let old = Answer::Accepted(n1.accepted.clone().unwrap());
    let mut n0 = restarted(3, 0, 0xA, n0.accepted.clone(), Incarnation(100));
    exchange(&mut n0, &mut n2);
    assert_eq!(n0.step(Event::Answered { peer: "n1".into(), answer: old }), []);
    assert!(n0.step(Event::Retry).iter().all(|action| !matches!(action, Action::Found { .. })));
}

/// The initiator loses its volume half way. All others are there and none has joined anything: they change.
#[test]
fn a_lost_initiator_begins_again_with_everybody() {
    let (mut n0, mut n1, mut n2) = (node(3, 0, 0xA), node(3, 1, 1), node(3, 2, 2));
    exchange(&mut n0, &mut n1);
    let mut n0 = node(3, 0, 0xB);
    assert_eq!(exchange(&mut n0, &mut n1), []);
    assert!(!n1.accepted.as_ref().unwrap().is_first());
    assert_eq!(exchange(&mut n0, &mut n2), [Action::Found { cluster_id: B }]);
    assert!(matches!(n1.check_join(A, |_| false), Err(JoinError::Promised(_))));
    adopt(&mut n1, B);
}

/// A changed mind is not a first acceptance: with somebody missing it is not enough.
#[test]
fn a_lost_initiator_waits_for_the_one_who_is_away() {
    let mut others: Vec<_> = (1..5).map(|number| node(5, number, number as u64)).collect();
    let mut n0 = node(5, 0, 0xA);
    for other in &mut others[..2] {
        exchange(&mut n0, other);
    }
    let mut n0 = node(5, 0, 0xB);
    for other in &mut others[..3] {
        assert_eq!(exchange(&mut n0, other), []);
    }
    assert_eq!(exchange(&mut n0, &mut others[3]), [Action::Found { cluster_id: B }]);
}

/// The volume of the initiator is lost after the cluster was founded and joined: one answer is enough.
#[test]
fn a_living_cluster_is_joined_and_nothing_is_founded_beside_it() {
    let (mut n0, mut n1, mut n2) = (node(3, 0, 0xA), node(3, 1, 1), node(3, 2, 2));
    exchange(&mut n0, &mut n1);
    exchange(&mut n0, &mut n2);
    adopt(&mut n1, A);
    let mut n0 = node(3, 0, 0xB);
    assert_eq!(exchange(&mut n0, &mut n2), []);
    assert_eq!(exchange(&mut n0, &mut n1), [Action::Join { peer: "n1".into(), cluster_id: A }]);
    assert_eq!(n0.step(Event::Retry), []);
    // n2 accepted B, which n0 gave up. It may join once n0 has joined.
    assert!(matches!(n2.check_join(A, |_| false), Err(JoinError::Promised(_))));
    adopt(&mut n0, A);
    assert_eq!(n2.check_join(A, |id| id == RaftId(0xB)), Ok(()));
    assert!(!n0.is_founder());
}

#[test]
fn a_clock_that_ran_back_is_reported() {
    let (mut n0, mut n1) = (node(3, 0, 0xB), node(3, 1, 1));
    exchange(&mut n0, &mut n1);
    let actions = exchange(&mut node(3, 0, 0xA), &mut n1);
    assert!(matches!(&actions[..], [Action::Report(Obstacle::Overtaken { peer, .. })] if peer == "n1"));
    assert_eq!(n1.accepted.as_ref().unwrap().ballot.cluster_id, B);
}

/// Why the initiator's own volume must not count: the hole, step by step.
#[test]
fn counting_the_initiator_itself_founds_two_clusters_after_one_lost_volume() {
    let (mut n1, mut n2) = (node(3, 1, 1), node(3, 2, 2));
    let mut n0 = Bootstrap { policy: COUNTS_ITSELF, ..node(3, 0, 0xA) };
    assert_eq!(exchange(&mut n0, &mut n1), [Action::Found { cluster_id: A }]);
    adopt(&mut n1, A);
    // n0 loses its volume, n1 is away.
    let mut n0 = Bootstrap { policy: COUNTS_ITSELF, ..node(3, 0, 0xB) };
    assert_eq!(exchange(&mut n0, &mut n2), [Action::Found { cluster_id: B }]);
    adopt(&mut n2, B);
}

#[test]
fn rules_without_sense_are_refused() {
    let names = |count: usize| {
        (0..count).map(|number| format!("n{number}")).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(matches!(Rules::new("x".into(), names(3)), Err(RulesError::NotListed { .. })));
    assert!(matches!(Rules::new("n0".into(), names(16)), Err(RulesError::TooMany { found: 16 })));
}

/// Runs histories until one breaks `holds`; how many founded a cluster, if none does.
fn explore(weather: Weather, seeds: std::ops::Range<u64>, holds: fn(&World) -> bool) -> Result<usize, u64> {
    let mut founded = 0;
    for seed in seeds {
        let mut world = World::new(weather, seed);
        for _ in 0..STEPS {
            world.happen();
            if !holds(&world) {
                return Err(seed);
            }
        }
        founded += usize::from(!world.founded().is_empty());
    }
    Ok(founded)
}

/// However often the initiator loses its volume, and though all of them run on: at most one cluster ever has another
/// member.
#[test]
fn a_lost_initiator_never_makes_two_clusters() {
    for listed in [3, 5] {
        let weather = Weather { listed, losers: &[0], has_ghosts: true, policy: POLICY };
        let founded = explore(weather, 0..SEEDS, |world| world.ever_joined().len() <= 1);
        assert!(founded.unwrap_or_else(|seed| panic!("two clusters of {listed}, seed {seed}")) > 300);
    }
}

/// A volume that changed twice remembers all that it promised: the second proposer joined a living cluster, the first may have
/// founded its own. Remembering only the last made two clusters in a random history.
#[test]
fn every_promise_must_be_void_before_another_cluster_is_joined() {
    let mut n1 = node(3, 1, 1);
    exchange(&mut node(3, 0, 0xB), &mut n1);
    exchange(&mut node(3, 0, 0xC), &mut n1);
    let only_the_last = n1.check_join(A, |id| id == RaftId(0xC));
    assert!(matches!(only_the_last, Err(JoinError::Promised(ballot)) if ballot.cluster_id == B));
    assert_eq!(n1.check_join(A, |id| id == RaftId(0xB) || id == RaftId(0xC)), Ok(()));
    // What it accepted last it may join: whoever founds that has everybody's last word.
    assert_eq!(n1.check_join(ClusterId(0xC), |_| false), Ok(()));
}

/// The initiator and one other lose their volumes, again and again, and what is lost is gone: the volumes that are left
/// belong to one cluster.
#[test]
fn a_second_loser_leaves_no_two_clusters() {
    for (listed, losers) in [(3, &[0, 1]), (5, &[0, 3])] {
        let weather = Weather { listed, losers, has_ghosts: false, policy: POLICY };
        let founded = explore(weather, 0..1500, |world| world.joined_now().len() <= 1);
        assert!(founded.unwrap_or_else(|seed| panic!("two clusters of {listed}, seed {seed}")) > 300);
    }
}

/// The same histories find what weaker rules break, so they would find it here.
#[test]
fn weaker_rules_are_found_out() {
    for (listed, policy) in [(3, COUNTS_ITSELF), (3, CHANGES_BACK), (5, COUNTS_CHANGED)] {
        let weather = Weather { listed, losers: &[0], has_ghosts: true, policy };
        assert!(explore(weather, 0..SEEDS, |world| world.ever_joined().len() <= 1).is_err());
    }
}

/// After any history, when nothing goes wrong any more, everybody ends in one cluster; without lost volumes nobody has to help.
#[test]
fn everybody_ends_in_one_cluster() {
    for (losers, listed) in [(&[][..], 3), (&[], 5), (&[0], 3), (&[0], 5)] {
        for seed in 0..150 {
            let mut world = World::new(Weather { listed, losers, has_ghosts: false, policy: POLICY }, seed);
            (0..STEPS).for_each(|_| world.happen());
            let remedies = world.heal();
            let clusters = world.clusters_now();
            let first = clusters[0];
            assert!(first.is_some() && clusters.iter().all(|it| *it == first), "seed {seed}: {clusters:?}");
            assert!(!losers.is_empty() || remedies == 0, "seed {seed}: {remedies} had to be helped");
        }
    }
}
