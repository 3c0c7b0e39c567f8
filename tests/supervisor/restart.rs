//! Which children are restarted: `permanent`, `transient`, `temporary`.

use playhouse::process::{ChildSpec, ExitReason, Strategy, Supervisor, SupervisorRef};

use crate::stage::{Cue, Journal, SECOND, children, cue, ended};

async fn one(child: ChildSpec) -> SupervisorRef {
    Supervisor::new(Strategy::OneForOne).intensity(5, SECOND).child(child).start().await.unwrap()
}

/// Whether the child was started again, after it ended by this.
async fn restarts(child: impl Fn(ChildSpec) -> ChildSpec, last: Cue) -> bool {
    let journal = Journal::default();
    let supervisor = one(child(journal.worker("a"))).await;
    journal.take();
    cue(&supervisor, "a", last).await;
    journal.take().iter().any(|line| line == "start a")
}

fn shutdown_with() -> ExitReason {
    ExitReason::ShutdownWith("moved".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_permanent_child_is_restarted_after_a_normal_end() {
    assert!(restarts(ChildSpec::permanent, Cue::Stop(None)).await);
    assert!(restarts(ChildSpec::permanent, Cue::End(ExitReason::Normal)).await);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_child_is_restarted_after_a_shutdown() {
    assert!(restarts(ChildSpec::permanent, Cue::End(ExitReason::Shutdown)).await);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_child_is_restarted_after_a_crash() {
    assert!(restarts(ChildSpec::permanent, Cue::Panic("boom")).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_not_restarted_after_a_normal_end() {
    assert!(!restarts(ChildSpec::transient, Cue::Stop(None)).await);
    assert!(!restarts(ChildSpec::transient, Cue::End(ExitReason::Normal)).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_not_restarted_after_a_shutdown() {
    assert!(!restarts(ChildSpec::transient, Cue::End(ExitReason::Shutdown)).await);
    assert!(!restarts(ChildSpec::transient, Cue::Stop(Some("shutdown"))).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_not_restarted_after_a_shutdown_that_says_why() {
    assert!(!restarts(ChildSpec::transient, Cue::End(shutdown_with())).await);
    assert!(!restarts(ChildSpec::transient, Cue::Stop(Some("shutdown: moved"))).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_restarted_after_a_panic() {
    assert!(restarts(ChildSpec::transient, Cue::Panic("boom")).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_restarted_after_an_error() {
    assert!(restarts(ChildSpec::transient, Cue::Fail("no disk")).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_restarted_after_any_other_reason() {
    assert!(restarts(ChildSpec::transient, Cue::Stop(Some("tired"))).await);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_restarted_after_it_was_killed() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a").transient()).await;
    let child = supervisor.child("a").await.unwrap();
    child.cell().kill();
    ended(&supervisor, &child).await;
    assert_eq!(journal.take().iter().filter(|line| *line == "start a").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_transient_child_is_not_restarted_after_its_mailbox_was_drained() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a").transient()).await;
    let child = supervisor.child("a").await.unwrap();
    child.cell().drain().unwrap();
    ended(&supervisor, &child).await;
    assert_eq!(journal.take(), ["start a", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn a_temporary_child_is_never_restarted() {
    assert!(!restarts(ChildSpec::temporary, Cue::Panic("boom")).await);
    assert!(!restarts(ChildSpec::temporary, Cue::Stop(None)).await);
    assert!(!restarts(ChildSpec::temporary, Cue::End(ExitReason::Killed)).await);
}

#[tokio::test(start_paused = true)]
async fn the_specification_of_a_temporary_child_goes_with_it() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a").temporary()).await;
    cue(&supervisor, "a", Cue::Stop(None)).await;
    assert!(children(&supervisor).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_specification_of_a_transient_child_stays_after_its_end() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a").transient()).await;
    cue(&supervisor, "a", Cue::Stop(None)).await;
    assert_eq!(children(&supervisor).await, ["a stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_child_is_another_actor_with_a_fresh_state() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a")).await;
    let before = supervisor.child("a").await.unwrap();
    cue(&supervisor, "a", Cue::Panic("boom")).await;
    let after = supervisor.child("a").await.unwrap();
    assert_ne!(before.cell().get_id(), after.cell().get_id());
    assert_eq!(journal.take(), ["start a", "start a"]);
}

/// Somebody linked an actor of their own to a supervisor; that is not its business.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_stranger_changes_nothing() {
    let journal = Journal::default();
    let supervisor = one(journal.worker("a")).await;
    let stranger = journal.parent().await;
    stranger.link(supervisor.cell().clone());
    stranger.kill_and_wait(None).await.unwrap();
    assert_eq!(children(&supervisor).await, ["a running"]);
    assert_eq!(journal.take(), ["start a"]);
}
