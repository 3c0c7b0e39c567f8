//! Single steps of the decisions, as examples. The promises of OTP are tested from outside, in `tests/supervisor.rs`.

use super::*;
use crate::process::supervisor::{backoff::Backoff, spec::ChildType};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Moment {
    Moment { age: Duration::from_secs(seconds), jitter: 1.0 }
}

fn crash() -> ExitReason {
    ExitReason::crashed("boom")
}

/// Permanent workers `a`, `b`, `c`, which run.
fn running(flags: Flags) -> (Decisions<()>, [ChildKey; 3]) {
    let mut decisions = Decisions::new(flags, false);
    let keys = ["a", "b", "c"].map(|id| add(&mut decisions, id));
    decisions.boot();
    assert_eq!(perform(&mut decisions), keys.map(Action::Start));
    (decisions, keys)
}

fn add(decisions: &mut Decisions<()>, id: &str) -> ChildKey {
    decisions.add(Some(id.into()), ChildRules::of(ChildType::Worker), ()).expect("the id is new")
}

/// Everything goes well.
fn perform(decisions: &mut Decisions<()>) -> Vec<Action> {
    let mut done = Vec::new();
    while let Some(action) = decisions.next() {
        match &action {
            Action::Start(key) => decisions.started(*key, Duration::ZERO),
            Action::Stop(keys) => keys.iter().for_each(|key| decisions.stopped(*key)),
            Action::Arm { .. } | Action::Exit(_) => {}
        }
        done.push(action);
    }
    done
}

#[test]
fn a_group_goes_down_from_the_right_before_it_comes_up_from_the_left() {
    let (mut decisions, [a, b, c]) = running(Flags { strategy: Strategy::OneForAll, ..Flags::default() });
    decisions.exited(b, &crash(), at(1));
    let stops = [Action::Stop(vec![c]), Action::Stop(vec![a])];
    let starts = [a, b, c].map(Action::Start);
    assert_eq!(perform(&mut decisions), [&stops[..], &starts[..]].concat());
}

#[test]
fn a_failed_restart_lets_other_events_have_their_turn_and_counts_again() {
    let (mut decisions, [_, b, _]) = running(Flags { intensity: 2, ..Flags::default() });
    decisions.exited(b, &crash(), at(1));
    assert_eq!(decisions.next(), Some(Action::Start(b)));
    decisions.start_failed(b, at(1));
    assert_eq!(decisions.next(), Some(Action::Arm { key: b, attempt: 1, after: Duration::ZERO }));
    assert_eq!(decisions.next(), None);

    decisions.timer_fired(b, 1);
    assert_eq!(decisions.next(), Some(Action::Start(b)));
    decisions.start_failed(b, at(1));
    assert_eq!(decisions.next(), Some(Action::Exit(Ending::GivesUp)));
}

#[test]
fn waits_double_with_each_restart_and_begin_again_after_a_calm_time() {
    let backoff = Some(Backoff::new(SECOND, SECOND * 60));
    let (mut decisions, [a, ..]) = running(Flags { intensity: 10, backoff, ..Flags::default() });
    for (attempt, (age, wait)) in [(0, 1), (10, 2), (20, 4), (100, 1)].into_iter().enumerate() {
        let attempt = attempt as u64 + 1;
        decisions.exited(a, &crash(), at(age));
        assert_eq!(perform(&mut decisions), [Action::Arm { key: a, attempt, after: SECOND * wait }]);
        decisions.timer_fired(a, attempt);
        assert_eq!(decisions.next(), Some(Action::Start(a)));
        decisions.started(a, at(age).age);
    }
}

#[test]
fn a_group_that_waits_is_down_meanwhile() {
    let backoff = Some(Backoff::new(SECOND, SECOND));
    let (mut decisions, [a, b, c]) =
        running(Flags { strategy: Strategy::RestForOne, backoff, intensity: 5, ..Flags::default() });
    decisions.exited(b, &crash(), at(1));
    let wait = |key, attempt| Action::Arm { key, attempt, after: SECOND };
    assert_eq!(perform(&mut decisions), [Action::Stop(vec![c]), wait(b, 1)]);

    // What it depends on goes, too: its own timer does not bring it up before that.
    decisions.exited(a, &crash(), at(1));
    assert_eq!(perform(&mut decisions), [wait(a, 1)]);
    decisions.timer_fired(b, 1);
    assert_eq!(decisions.next(), None);
    decisions.timer_fired(a, 1);
    assert_eq!(perform(&mut decisions), [a, b, c].map(Action::Start));
}

#[test]
fn a_timer_that_was_overtaken_does_nothing() {
    let (mut decisions, [a, ..]) =
        running(Flags { intensity: 5, backoff: Some(Backoff::new(SECOND, SECOND)), ..Flags::default() });
    decisions.exited(a, &crash(), at(1));
    perform(&mut decisions);
    decisions.terminate_child(a).expect("it is there");
    assert_eq!(perform(&mut decisions), []);
    decisions.timer_fired(a, 1);
    assert_eq!(decisions.next(), None);
    assert_eq!(decisions.restart_child("a"), Ok(a));
}

#[test]
fn the_timer_of_an_earlier_restart_does_not_fire_for_a_later_one() {
    let backoff = Some(Backoff::new(SECOND, SECOND));
    let (mut decisions, [a, ..]) = running(Flags { intensity: 5, backoff, ..Flags::default() });
    decisions.exited(a, &crash(), at(1));
    perform(&mut decisions);
    decisions.terminate_child(a).expect("it is there");
    perform(&mut decisions);
    decisions.restart_child("a").expect("it does not run");
    perform(&mut decisions);
    decisions.exited(a, &crash(), at(1));
    assert_eq!(perform(&mut decisions), [Action::Arm { key: a, attempt: 2, after: SECOND }]);
    decisions.timer_fired(a, 1);
    assert_eq!(decisions.next(), None);
    decisions.timer_fired(a, 2);
    assert_eq!(perform(&mut decisions), [Action::Start(a)]);
}

#[test]
fn children_behind_one_that_does_not_start_wait_for_it() {
    let (mut decisions, [a, b, c]) =
        running(Flags { strategy: Strategy::RestForOne, intensity: 5, ..Flags::default() });
    decisions.exited(a, &crash(), at(1));
    for action in [Action::Stop(vec![c]), Action::Stop(vec![b]), Action::Start(a), Action::Start(b)] {
        assert_eq!(decisions.next(), Some(action.clone()));
        match action {
            Action::Stop(keys) => keys.iter().for_each(|key| decisions.stopped(*key)),
            Action::Start(key) if key == a => decisions.started(a, at(1).age),
            _ => decisions.start_failed(b, at(1)),
        }
    }
    assert_eq!(perform(&mut decisions), [Action::Arm { key: b, attempt: 1, after: Duration::ZERO }]);
    decisions.timer_fired(b, 1);
    assert_eq!(perform(&mut decisions), [b, c].map(Action::Start));
}

#[test]
fn dynamic_children_are_stopped_all_at_once() {
    let mut decisions = Decisions::new(Flags::default(), true);
    let keys: Vec<_> = (0..3)
        .map(|_| decisions.start_child(None, ChildRules::of(ChildType::Worker), ()).expect("there is room"))
        .collect();
    perform(&mut decisions);
    decisions.shut_down();
    assert_eq!(perform(&mut decisions), [Action::Stop(keys.into_iter().rev().collect())]);
    assert_eq!(decisions.children().count(), 0);
}

#[test]
fn a_dynamic_child_keeps_its_place_while_it_is_restarted() {
    let mut decisions = Decisions::new(Flags::default(), true);
    let key = decisions.start_child(None, ChildRules::of(ChildType::Worker), ()).expect("there is room");
    perform(&mut decisions);
    decisions.exited(key, &crash(), at(1));
    assert_eq!(perform(&mut decisions), [Action::Start(key)]);
}

#[test]
fn one_child_too_many_is_refused() {
    let (mut decisions, _) = running(Flags { children_max: 3, ..Flags::default() });
    let refused = decisions.start_child(Some("d".into()), ChildRules::of(ChildType::Worker), ());
    assert_eq!(refused, Err(Refusal::Full));
    assert_eq!(decisions.next(), None);
}

/// One is a failure that people should look at, the other one is what was asked for.
#[test]
fn a_supervisor_that_ends_with_its_significant_children_does_not_give_up() {
    let flags = Flags { auto_shutdown: AutoShutdown::AnySignificant, intensity: 0, ..Flags::default() };
    let significant =
        ChildRules { significant: true, restart: Restart::Transient, ..ChildRules::of(ChildType::Worker) };
    for (reason, ending) in [(ExitReason::Normal, Ending::AutoShutdown), (crash(), Ending::GivesUp)] {
        let mut decisions = Decisions::new(flags.clone(), false);
        let key = decisions.add(Some("a".into()), significant, ()).expect("the id is new");
        decisions.boot();
        perform(&mut decisions);
        decisions.exited(key, &reason, at(1));
        assert_eq!(perform(&mut decisions), [Action::Exit(ending)]);
    }
}
