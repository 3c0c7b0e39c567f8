//! Which children are restarted together.

use playhouse::process::{ChildSpec, ExitReason, Strategy, Supervisor, SupervisorRef};

use crate::stage::{Cue, Journal, SECOND, children, crash, cue, ended, tell};

const IDS: [&str; 4] = ["a", "b", "c", "d"];

/// Four children, of which `change` may change the rules; the journal is empty.
async fn four(strategy: Strategy, change: impl Fn(&str, ChildSpec) -> ChildSpec) -> (Journal, SupervisorRef) {
    let journal = Journal::default();
    let supervisor = Supervisor::new(strategy).intensity(1, SECOND);
    let all = IDS.into_iter().fold(supervisor, |all, id| all.child(change(id, journal.worker(id))));
    let supervisor = all.start().await.unwrap();
    journal.take();
    (journal, supervisor)
}

async fn after_crash_of(id: &str, strategy: Strategy) -> Vec<String> {
    let (journal, supervisor) = four(strategy, |_, spec| spec).await;
    crash(&supervisor, id).await;
    assert_eq!(children(&supervisor).await, IDS.map(|id| format!("{id} running")));
    journal.take()
}

#[tokio::test(start_paused = true)]
async fn one_for_one_restarts_the_child_that_ended_and_no_other() {
    assert_eq!(after_crash_of("b", Strategy::OneForOne).await, ["start b"]);
}

#[tokio::test(start_paused = true)]
async fn one_for_all_stops_the_others_from_right_to_left_and_starts_all_from_left_to_right() {
    let done = ["stop d", "stop c", "stop a", "start a", "start b", "start c", "start d"];
    assert_eq!(after_crash_of("b", Strategy::OneForAll).await, done);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_restarts_those_that_were_started_after_the_one_that_ended() {
    let done = ["stop d", "stop c", "start b", "start c", "start d"];
    assert_eq!(after_crash_of("b", Strategy::RestForOne).await, done);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_restarts_all_when_the_first_ends() {
    let done = ["stop d", "stop c", "stop b", "start a", "start b", "start c", "start d"];
    assert_eq!(after_crash_of("a", Strategy::RestForOne).await, done);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_restarts_only_the_last_when_it_ends() {
    assert_eq!(after_crash_of("d", Strategy::RestForOne).await, ["start d"]);
}

#[tokio::test(start_paused = true)]
async fn a_temporary_sibling_is_stopped_with_its_group_and_not_started_again() {
    let change = |id: &str, spec: ChildSpec| if id == "c" { spec.temporary() } else { spec };
    let (journal, supervisor) = four(Strategy::OneForAll, change).await;
    crash(&supervisor, "a").await;
    assert_eq!(journal.take(), ["stop d", "stop c", "stop b", "start a", "start b", "start d"]);
    assert_eq!(children(&supervisor).await, ["a running", "b running", "d running"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_temporary_child_does_not_touch_its_siblings() {
    let change = |id: &str, spec: ChildSpec| if id == "a" { spec.temporary() } else { spec };
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let (journal, supervisor) = four(strategy, change).await;
        crash(&supervisor, "a").await;
        assert!(journal.take().is_empty());
        assert_eq!(children(&supervisor).await, ["b running", "c running", "d running"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_normal_end_of_a_transient_child_does_not_touch_its_siblings() {
    let change = |id: &str, spec: ChildSpec| if id == "a" { spec.transient() } else { spec };
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let (journal, supervisor) = four(strategy, change).await;
        cue(&supervisor, "a", Cue::End(ExitReason::Normal)).await;
        assert!(journal.take().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_that_had_ended_normally_comes_back_with_its_group() {
    let change = |id: &str, spec: ChildSpec| if id == "b" { spec.transient() } else { spec };
    let (journal, supervisor) = four(Strategy::OneForAll, change).await;
    cue(&supervisor, "b", Cue::Stop(None)).await;
    assert_eq!(journal.take(), ["stop b"]);
    crash(&supervisor, "a").await;
    assert_eq!(journal.take(), ["stop d", "stop c", "start a", "start b", "start c", "start d"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_an_operator_stopped_comes_back_with_its_group() {
    let (journal, supervisor) = four(Strategy::RestForOne, |_, spec| spec).await;
    supervisor.terminate_child("d").await.unwrap();
    crash(&supervisor, "c").await;
    assert_eq!(journal.take(), ["stop d", "start c", "start d"]);
}

/// All end at once: the first end takes the group down and up, the ends of the others are part of that.
#[tokio::test(start_paused = true)]
async fn siblings_that_end_with_their_group_count_as_one_restart() {
    let (_, supervisor) = four(Strategy::OneForAll, |_, spec| spec).await;
    let mut running = Vec::new();
    for id in IDS {
        running.push(supervisor.child(id).await.unwrap());
    }
    running.iter().for_each(|child| tell(child, Cue::Panic("boom")));
    for child in &running {
        ended(&supervisor, child).await;
    }
    assert_eq!(children(&supervisor).await, IDS.map(|id| format!("{id} running")));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_added_later_belongs_to_the_rest() {
    let (journal, supervisor) = four(Strategy::RestForOne, |_, spec| spec).await;
    supervisor.start_child(journal.worker("e")).await.unwrap();
    journal.take();
    crash(&supervisor, "d").await;
    assert_eq!(journal.take(), ["stop e", "start d", "start e"]);
}
