//! How often children are restarted, and what happens when it is too often.

use playhouse::process::{Backoff, ChildSpec, Strategy, Supervisor, SupervisorRef};

use crate::stage::{Cue, Journal, SECOND, Start, children, crash, cue, settled};

/// A supervisor of these children that allows so many restarts within a second.
async fn start(restarts: u32, children: impl IntoIterator<Item = ChildSpec>) -> SupervisorRef {
    let supervisor = Supervisor::new(Strategy::OneForOne).intensity(restarts, SECOND);
    children.into_iter().fold(supervisor, Supervisor::child).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_restart_too_many_stops_the_children_from_right_to_left_and_ends_with_shutdown() {
    let journal = Journal::default();
    let parent = journal.parent().await;
    let supervisor = Supervisor::new(Strategy::OneForOne).intensity(2, 5 * SECOND);
    let supervisor =
        supervisor.child(journal.worker("a")).child(journal.worker("b")).child(journal.worker("c"));
    let supervisor = supervisor.start_linked(parent).await.unwrap();
    crash(&supervisor, "a").await;
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a running", "b running", "c running"]);
    journal.take();

    crash(&supervisor, "a").await;
    journal.until(r#"ended: Some("shutdown")"#).await;
    supervisor.wait().await;
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_supervisor_that_gives_up_have_their_last_words() {
    let journal = Journal::default();
    let supervisor = start(0, ["a", "b", "c"].map(|id| journal.worker(id))).await;
    journal.take();
    crash(&supervisor, "a").await;
    supervisor.wait().await;
    assert_eq!(journal.take(), ["stop c", "stop b"]);
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_one_restart_within_five_seconds() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).start().await.unwrap();
    crash(&supervisor, "a").await;
    tokio::time::sleep(6 * SECOND).await;
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a running"]);
    crash(&supervisor, "a").await;
    supervisor.wait().await;
}

#[tokio::test(start_paused = true)]
async fn restarts_before_the_period_do_not_count() {
    let journal = Journal::default();
    let supervisor = start(1, [journal.worker("a")]).await;
    for _ in 0..20 {
        crash(&supervisor, "a").await;
        tokio::time::sleep(2 * SECOND).await;
    }
    assert_eq!(children(&supervisor).await, ["a running"]);
}

#[tokio::test(start_paused = true)]
async fn restarts_of_all_children_count_together() {
    let journal = Journal::default();
    let supervisor = start(1, ["a", "b"].map(|id| journal.worker(id))).await;
    crash(&supervisor, "a").await;
    crash(&supervisor, "b").await;
    supervisor.wait().await;
}

#[tokio::test(start_paused = true)]
async fn children_that_are_not_restarted_do_not_count() {
    let journal = Journal::default();
    let children_of_all_kinds =
        [journal.worker("a"), journal.worker("b").temporary(), journal.worker("c").transient()];
    let supervisor = start(0, children_of_all_kinds).await;
    crash(&supervisor, "b").await;
    cue(&supervisor, "c", Cue::Stop(None)).await;
    assert_eq!(children(&supervisor).await, ["a running", "c stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_tried_again() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Well, Start::Fail, Start::Fail]).worker();
    let supervisor = start(3, [child]).await;
    crash(&supervisor, "a").await;
    journal.until("fail a").await;
    journal.until("fail a").await;
    journal.until("start a").await;
    assert_eq!(children(&supervisor).await, ["a running"]);
}

#[tokio::test(start_paused = true)]
async fn each_try_counts_as_a_restart() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Well, Start::Fail, Start::Fail]).worker();
    let supervisor = start(2, [child]).await;
    crash(&supervisor, "a").await;
    supervisor.wait().await;
    assert_eq!(journal.take(), ["start a", "fail a", "fail a"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_restart_fails_is_tried_again_from_the_child_that_failed() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::RestForOne).intensity(3, SECOND).child(journal.worker("a"));
    let supervisor = supervisor.child(journal.script("b").starts([Start::Well, Start::Fail]).worker());
    let supervisor = supervisor.child(journal.worker("c")).start().await.unwrap();
    journal.take();
    crash(&supervisor, "a").await;
    journal.until("start c").await;
    assert_eq!(children(&supervisor).await, ["a running", "b running", "c running"]);
}

/// A permanent child that is a supervisor: its parent starts it afresh, with all of its children.
#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_is_restarted_by_its_own() {
    let journal = Journal::default();
    let below = journal.clone();
    let inner = move || {
        Supervisor::new(Strategy::OneForOne)
            .intensity(0, SECOND)
            .child(below.worker("a"))
            .child(below.worker("b"))
    };
    let outer = Supervisor::new(Strategy::OneForOne).child(ChildSpec::supervisor("inner", inner));
    let outer = outer.start().await.unwrap();
    let child = outer.child("inner").await.unwrap();
    let inner: SupervisorRef = child.reference().unwrap();
    journal.take();
    crash(&inner, "a").await;
    inner.wait().await;
    settled(&outer).await;
    assert_eq!(journal.take(), ["stop b", "start a", "start b"]);
    assert_eq!(children(&outer).await, ["inner running"]);
}

/// It ends with `shutdown`, which is not abnormal: a surprise that OTP has, too.
#[tokio::test(start_paused = true)]
async fn a_transient_supervisor_that_gives_up_is_not_restarted() {
    let journal = Journal::default();
    let below = journal.clone();
    let inner = move || Supervisor::new(Strategy::OneForOne).intensity(0, SECOND).child(below.worker("a"));
    let outer = Supervisor::new(Strategy::OneForOne).child(ChildSpec::supervisor("inner", inner).transient());
    let outer = outer.start().await.unwrap();
    let child = outer.child("inner").await.unwrap();
    let inner: SupervisorRef = child.reference().unwrap();
    crash(&inner, "a").await;
    inner.wait().await;
    assert_eq!(children(&outer).await, ["inner stopped"]);
}

#[tokio::test(start_paused = true)]
async fn with_backoff_a_restart_waits_longer_each_time() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(10, SECOND)
        .backoff(Backoff::new(8 * SECOND, 60 * SECOND))
        .child(journal.worker("a"))
        .start()
        .await
        .unwrap();
    for (shortest, longest) in [(4, 8), (8, 16), (16, 32), (30, 60), (30, 60)] {
        journal.take();
        crash(&supervisor, "a").await;
        let before = tokio::time::Instant::now();
        assert_eq!(children(&supervisor).await, ["a restarting"]);
        journal.until("start a").await;
        let waited = before.elapsed();
        // The clock of tokio ticks in milliseconds.
        assert!((shortest * SECOND..=longest * SECOND + SECOND / 100).contains(&waited), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_backoff_the_group_is_down_until_the_restart() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForAll)
        .backoff(Backoff::new(8 * SECOND, 8 * SECOND))
        .child(journal.worker("a"))
        .child(journal.worker("b"))
        .start()
        .await
        .unwrap();
    journal.take();
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a restarting", "b stopped"]);
    journal.until("start b").await;
    assert_eq!(children(&supervisor).await, ["a running", "b running"]);
}
