//! What the StatefulSet controller does next, decided from what is wanted and what is there; as it is up to Kubernetes 1.34, which
//! looks at no pod below the one that it exchanges.
//!
//! Comes in: the set, and its pods as they are now. Leaves: the steps of this look. Who performs them looks again afterwards;
//! nothing is remembered between two looks.

use std::time::Duration;

use super::objects::stateful_set::{StatefulSetSpec, UpdateKind};

/// A pod as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Its number.
    pub ordinal: u32,
    /// Which template it was made from.
    pub revision: String,
    /// For how long it has been ready. `None`: it is not.
    pub ready_for: Option<Duration>,
    /// Whether it was told to end.
    pub is_terminating: bool,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the pod of this number.
    Create {
        /// Its number.
        ordinal: u32,
        /// From which template: the newest, or the one before it.
        is_newest: bool,
    },
    /// Tell the pod of this number to end.
    Delete {
        /// Its number.
        ordinal: u32,
    },
}

/// What is to be done now, first things first. `revision` is that of the newest template.
#[must_use]
pub fn decide(spec: &StatefulSetSpec, revision: &str, pods: &[PodView]) -> Vec<Step> {
    let wanted = spec.wanted();
    let find = |ordinal: u32| pods.iter().find(|pod| pod.ordinal == ordinal);
    let missing = wanted.clone().filter(|ordinal| find(*ordinal).is_none());
    let is_newest = |ordinal| is_updated(spec, ordinal);
    let mut steps: Vec<_> =
        missing.map(|ordinal| Step::Create { ordinal, is_newest: is_newest(ordinal) }).collect();
    let mut condemned: Vec<_> = pods.iter().filter(|pod| !wanted.contains(&pod.ordinal)).collect();
    condemned.sort_by_key(|pod| std::cmp::Reverse(pod.ordinal));
    let condemned = condemned.iter().filter(|pod| !pod.is_terminating);
    steps.extend(condemned.map(|pod| Step::Delete { ordinal: pod.ordinal }));
    let replaced = wanted.rev().filter(|ordinal| is_updated(spec, *ordinal)).map(find);
    steps.extend(replace_one(spec, revision, replaced));
    steps
}

/// From the highest on, the first pod of an older template goes, if all above it are well.
fn replace_one<'a>(
    spec: &StatefulSetSpec,
    revision: &str,
    pods: impl Iterator<Item = Option<&'a PodView>>,
) -> Option<Step> {
    if spec.update_strategy.kind == UpdateKind::OnDelete {
        return None;
    }
    for pod in pods {
        let pod = pod?;
        if pod.revision != revision && !pod.is_terminating {
            return Some(Step::Delete { ordinal: pod.ordinal });
        }
        if !is_available(spec, pod) {
            return None;
        }
    }
    None
}

fn is_updated(spec: &StatefulSetSpec, ordinal: u32) -> bool {
    ordinal >= spec.ordinals.start.saturating_add(spec.update_strategy.rolling_update.partition)
}

/// Whether it has been ready for as long as it must have been.
#[must_use]
pub fn is_available(spec: &StatefulSetSpec, pod: &PodView) -> bool {
    let enough = Duration::from_secs(spec.min_ready_seconds);
    !pod.is_terminating && pod.ready_for.is_some_and(|ready_for| ready_for >= enough)
}

/// Whether the set is as wanted: each pod there and available, of the template that it should have, and no other.
#[must_use]
pub fn is_settled(spec: &StatefulSetSpec, revision: &str, pods: &[PodView]) -> bool {
    let has_template = |pod: &PodView| !is_updated(spec, pod.ordinal) || pod.revision == revision;
    pods.len() == spec.replicas as usize
        && pods.iter().all(|pod| is_available(spec, pod) && has_template(pod))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::executor::objects::tests::objects;

    const READY: Option<Duration> = Some(Duration::from_secs(60));

    fn spec() -> StatefulSetSpec {
        objects().stateful_sets["play"].spec.clone()
    }

    fn pod(ordinal: u32, revision: &str) -> PodView {
        PodView { ordinal, revision: revision.to_owned(), ready_for: READY, is_terminating: false }
    }

    fn create(ordinal: u32) -> Step {
        Step::Create { ordinal, is_newest: true }
    }

    fn delete(ordinal: u32) -> Step {
        Step::Delete { ordinal }
    }

    #[test]
    fn all_that_are_missing_are_made_at_once() {
        assert_eq!(decide(&spec(), "new", &[]), [create(0), create(1), create(2)]);
        assert_eq!(decide(&spec(), "new", &[pod(0, "new"), pod(2, "new")]), [create(1)]);
    }

    #[test]
    fn an_update_begins_with_the_highest_and_waits_until_it_is_well() {
        let mut pods = [pod(0, "old"), pod(1, "old"), pod(2, "old")];
        assert_eq!(decide(&spec(), "new", &pods), [delete(2)]);
        pods[2].is_terminating = true;
        assert_eq!(decide(&spec(), "new", &pods), []);
        assert_eq!(decide(&spec(), "new", &pods[..2]), [create(2)], "and nobody else meanwhile");
        for not_long_enough in [None, Some(Duration::from_secs(4))] {
            pods[2] = PodView { ready_for: not_long_enough, ..pod(2, "new") };
            assert_eq!(decide(&spec(), "new", &pods), []);
        }
        pods[2] = pod(2, "new");
        assert_eq!(decide(&spec(), "new", &pods), [delete(1)]);
    }

    #[test]
    fn a_broken_pod_of_the_old_template_is_replaced_all_the_same() {
        let broken = PodView { ready_for: None, ..pod(2, "old") };
        assert_eq!(decide(&spec(), "new", &[pod(0, "old"), pod(1, "old"), broken]), [delete(2)]);
    }

    #[test]
    fn below_the_partition_the_old_template_stays() {
        let mut spec = spec();
        spec.update_strategy.rolling_update.partition = 2;
        assert_eq!(decide(&spec, "new", &[pod(0, "old"), pod(1, "old"), pod(2, "new")]), []);
        let steps = decide(&spec, "new", &[pod(0, "old"), pod(2, "new")]);
        assert_eq!(steps, [Step::Create { ordinal: 1, is_newest: false }]);
        assert!(is_settled(&spec, "new", &[pod(0, "old"), pod(1, "old"), pod(2, "new")]));
    }

    #[test]
    fn who_updates_on_delete_waits_for_people() {
        let mut spec = spec();
        spec.update_strategy.kind = UpdateKind::OnDelete;
        assert_eq!(decide(&spec, "new", &[pod(0, "old"), pod(1, "old"), pod(2, "old")]), []);
    }

    #[test]
    fn fewer_pods_go_from_the_highest_on() {
        let pods: Vec<_> = (0..5).map(|ordinal| pod(ordinal, "new")).collect();
        assert_eq!(decide(&spec(), "new", &pods), [delete(4), delete(3)]);
    }

    #[test]
    fn numbers_may_begin_elsewhere() {
        let mut spec = spec();
        spec.ordinals.start = 7;
        assert_eq!(decide(&spec, "new", &[]), [create(7), create(8), create(9)]);
    }

    /// Who is down below the highest old pod is not looked at: an update takes a second one, of three. Operators look first.
    #[test]
    fn an_update_while_the_lowest_is_down_takes_another_one() {
        let down = PodView { ready_for: None, ..pod(0, "old") };
        let mut pods = [down, pod(1, "old"), pod(2, "old")];
        assert_eq!(decide(&spec(), "new", &pods), [delete(2)]);
        pods[2] = PodView { ready_for: None, ..pod(2, "new") };
        assert_eq!(decide(&spec(), "new", &pods), [], "and no third one");
    }

    /// Where each pod is well at once, an update takes one after the other, and ends.
    #[test]
    fn an_update_of_pods_that_are_well_ends_and_never_takes_two() {
        let spec = spec();
        let mut pods: Vec<_> = (0..3).map(|ordinal| pod(ordinal, "old")).collect();
        let mut steps_left = 20;
        while !is_settled(&spec, "new", &pods) {
            steps_left -= 1;
            assert!(steps_left > 0, "it ends");
            for step in decide(&spec, "new", &pods) {
                match step {
                    Step::Create { ordinal, .. } => pods.push(pod(ordinal, "new")),
                    Step::Delete { ordinal } => pods.retain(|pod| pod.ordinal != ordinal),
                }
            }
            assert!(pods.len() >= 2, "{pods:?}");
        }
    }

    /// What may happen to a pod between two looks.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Ready,
        NotReady,
        Ended,
    }

    fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
        let event = prop_oneof![Just(Event::Ready), Just(Event::NotReady), Just(Event::Ended)];
        prop::collection::vec((0..6_usize, event), 0..60)
    }

    proptest! {
        /// Whatever pods do meanwhile: an update takes one only while all above it are well; numbers are
        /// there once; and when nothing happens any more, all is as wanted.
        #[test]
        fn whatever_happens_an_update_takes_one_at_a_time(
            replicas in 1..6_u32,
            partition in 0..3_u32,
            events in events(),
        ) {
            let mut spec = spec();
            spec.replicas = replicas;
            spec.update_strategy.rolling_update.partition = partition;
            let mut pods: Vec<_> = (0..3).map(|ordinal| pod(ordinal, "old")).collect();
            let last = (0..40).map(|at| (at, Event::Ended)).chain((0..40).map(|at| (at, Event::Ready)));
            let quiet: Vec<_> = (0..40).flat_map(|_| last.clone()).collect();
            for (at, event) in events.into_iter().chain(quiet) {
                for step in decide(&spec, "new", &pods) {
                    perform(&mut pods, &step, replicas);
                }
                prop_assert!((1..pods.len()).all(|at| pods[at - 1].ordinal < pods[at].ordinal));
                happen(&mut pods, at, event);
            }
            prop_assert!(is_settled(&spec, "new", &pods), "{pods:?}");
            prop_assert!(decide(&spec, "new", &pods).is_empty());
        }
    }

    fn perform(pods: &mut Vec<PodView>, step: &Step, replicas: u32) {
        match *step {
            Step::Create { ordinal, is_newest } => {
                let revision = if is_newest { "new" } else { "old" };
                pods.push(PodView { ready_for: None, ..pod(ordinal, revision) });
                pods.sort_by_key(|pod| pod.ordinal);
            }
            Step::Delete { ordinal } => {
                let above = pods.iter().filter(|pod| pod.ordinal > ordinal && pod.ordinal < replicas);
                let are_well = above.clone().all(|pod| pod.ready_for.is_some() && !pod.is_terminating);
                assert!(ordinal >= replicas || are_well, "{ordinal} of {pods:?}");
                let pod = pods.iter_mut().find(|pod| pod.ordinal == ordinal).expect("it is there");
                assert!(!pod.is_terminating, "it is told once");
                pod.is_terminating = true;
            }
        }
    }

    fn happen(pods: &mut Vec<PodView>, at: usize, event: Event) {
        let Some(pod) = pods.get_mut(at) else { return };
        match event {
            Event::Ready if !pod.is_terminating => pod.ready_for = READY,
            Event::NotReady => pod.ready_for = None,
            Event::Ended if pod.is_terminating => drop(pods.remove(at)),
            Event::Ready | Event::Ended => (),
        }
    }
}
