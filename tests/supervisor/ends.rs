//! How children and supervisors are stopped.

use std::time::Duration;

use playhouse::process::{ChildSpec, Shutdown, Strategy, Supervisor, SupervisorRef};
use tokio::time::Instant;

use crate::stage::{Cue, Journal, SECOND, tell};

async fn one(child: ChildSpec) -> SupervisorRef {
    Supervisor::new(Strategy::OneForOne).child(child).start().await.unwrap()
}

/// How long it takes to stop a supervisor of this child.
async fn time_to_stop(child: ChildSpec) -> Duration {
    let supervisor = one(child).await;
    let before = Instant::now();
    supervisor.stop_and_wait().await;
    before.elapsed()
}

#[tokio::test(start_paused = true)]
async fn children_are_stopped_from_right_to_left() {
    let journal = Journal::default();
    let supervisor =
        Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).child(journal.worker("b"));
    let supervisor = supervisor.child(journal.script("c").last_words(SECOND).worker()).start().await.unwrap();
    journal.take();
    supervisor.stop_and_wait().await;
    assert_eq!(journal.take(), ["stopping c", "stop c", "stop b", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_was_told_to_stop_ends_with_shutdown() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(journal.worker("a"));
    let supervisor = supervisor.start_linked(journal.parent().await).await.unwrap();
    supervisor.stop();
    journal.until(r#"ended: Some("shutdown")"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_brutal_kill_leaves_no_last_words() {
    let journal = Journal::default();
    let child = journal.script("a").last_words(SECOND).worker().shutdown(Shutdown::BrutalKill);
    assert_eq!(time_to_stop(child).await, Duration::ZERO);
    journal.until("killed a").await;
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_stops_within_its_timeout_is_not_killed() {
    let journal = Journal::default();
    let child = journal.script("a").last_words(2 * SECOND).worker().shutdown(Shutdown::Timeout(3 * SECOND));
    assert_eq!(time_to_stop(child).await.as_secs(), 2);
    assert_eq!(journal.take(), ["start a", "stopping a", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_takes_longer_than_its_timeout_is_killed() {
    let journal = Journal::default();
    let child = journal.script("a").last_words(60 * SECOND).worker().shutdown(Shutdown::Timeout(3 * SECOND));
    assert_eq!(time_to_stop(child).await.as_secs(), 3);
    journal.until("killed a").await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_ignores_the_stop_is_killed_after_its_timeout() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a").shutdown(Shutdown::Timeout(3 * SECOND))).await;
    tell(&supervisor.child("a").await.unwrap(), Cue::Work(3600 * SECOND));
    journal.until("work a").await;
    let before = Instant::now();
    supervisor.stop_and_wait().await;
    assert_eq!(before.elapsed().as_secs(), 3);
    journal.until("killed a").await;
}

#[tokio::test(start_paused = true)]
async fn a_child_with_infinity_has_all_the_time_it_wants() {
    let journal = Journal::default();
    let child = journal.script("a").last_words(3600 * SECOND).worker().shutdown(Shutdown::Infinity);
    assert_eq!(time_to_stop(child).await.as_secs(), 3600);
    assert_eq!(journal.take(), ["start a", "stopping a", "stop a"]);
}

/// Outer: `a`, then a supervisor of `b` and `c`, then `d`.
async fn tree(journal: &Journal) -> SupervisorRef {
    let below = journal.clone();
    let inner =
        move || Supervisor::new(Strategy::OneForOne).child(below.worker("b")).child(below.worker("c"));
    let outer = Supervisor::new(Strategy::OneForOne).child(journal.worker("a"));
    let outer = outer.child(ChildSpec::supervisor("inner", inner)).child(journal.worker("d"));
    outer.start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_tree_starts_and_stops_in_the_order_of_its_leaves() {
    let journal = Journal::default();
    let outer = tree(&journal).await;
    assert_eq!(journal.take(), ["start a", "start b", "start c", "start d"]);
    outer.stop_and_wait().await;
    assert_eq!(journal.take(), ["stop d", "stop c", "stop b", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_all_that_is_below_it_with_it() {
    let journal = Journal::default();
    let outer = tree(&journal).await;
    outer.kill();
    for id in ["a", "b", "c", "d"] {
        let line = format!("killed {id}");
        journal.until_any_order(&line).await;
    }
}

/// `ractor` alone leaves such children behind.
#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_children_with_it_that_are_about_to_stop() {
    let journal = Journal::default();
    let child = journal.script("a").last_words(3600 * SECOND).worker().shutdown(Shutdown::Infinity);
    let supervisor = one(child).await;
    supervisor.stop();
    journal.until("stopping a").await;
    let before = Instant::now();
    supervisor.kill();
    journal.until("killed a").await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_killed_while_it_starts_leaves_nothing_behind() {
    let journal = Journal::default();
    let hangs = journal.script("b").starts([crate::stage::Start::Hang]).worker();
    let parent = Supervisor::new(Strategy::OneForOne).start().await.unwrap();
    let below = journal.clone();
    let inner = ChildSpec::supervisor("inner", move || {
        Supervisor::new(Strategy::OneForOne).child(below.worker("a")).child(hangs.clone())
    });
    let starting = parent.clone();
    let asked = async move { starting.start_child(inner).await };
    let kill = async {
        journal.until("hang b").await;
        parent.kill();
        journal.until("killed a").await;
    };
    let (answer, ()) = tokio::join!(asked, kill);
    answer.unwrap_err();
}
