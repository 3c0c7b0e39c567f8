//! Supervisors that end with their significant children.

use playhouse::process::{
    AutoShutdown, ChildSpec, ExitReason, SpecError, StartChildError, StartError, Strategy, Supervisor,
    SupervisorRef,
};

use crate::stage::{Cue, Journal, SECOND, children, crash, cue};

/// Significant transient children `a` and `b`, and a bystander `c`.
async fn three(auto_shutdown: AutoShutdown) -> (Journal, SupervisorRef) {
    let journal = Journal::default();
    let significant = |id| journal.worker(id).transient().significant();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(1, SECOND)
        .auto_shutdown(auto_shutdown)
        .child(significant("a"))
        .child(significant("b"))
        .child(journal.worker("c").transient())
        .start_linked(journal.parent().await)
        .await
        .unwrap();
    journal.take();
    (journal, supervisor)
}

#[tokio::test(start_paused = true)]
async fn any_significant_ends_the_supervisor_with_the_first_significant_child() {
    let (journal, supervisor) = three(AutoShutdown::AnySignificant).await;
    cue(&supervisor, "a", Cue::Stop(None)).await;
    supervisor.wait().await;
    journal.until("stop a").await;
    journal.until("stop c").await;
    journal.until("stop b").await;
    journal.until(r#"ended: Some("shutdown")"#).await;
}

#[tokio::test(start_paused = true)]
async fn all_significant_ends_the_supervisor_with_the_last_significant_child() {
    let (journal, supervisor) = three(AutoShutdown::AllSignificant).await;
    cue(&supervisor, "a", Cue::Stop(None)).await;
    assert_eq!(children(&supervisor).await, ["a stopped", "b running", "c running"]);
    cue(&supervisor, "b", Cue::End(ExitReason::Shutdown)).await;
    supervisor.wait().await;
    journal.until(r#"ended: Some("shutdown")"#).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_child_that_is_not_significant_does_not_end_the_supervisor() {
    let (_, supervisor) = three(AutoShutdown::AnySignificant).await;
    cue(&supervisor, "c", Cue::Stop(None)).await;
    assert_eq!(children(&supervisor).await, ["a running", "b running", "c stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_significant_transient_child_that_crashes_is_restarted_and_does_not_end_the_supervisor() {
    let (_, supervisor) = three(AutoShutdown::AnySignificant).await;
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a running", "b running", "c running"]);
}

#[tokio::test(start_paused = true)]
async fn a_significant_temporary_child_ends_the_supervisor_also_when_it_crashes() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(journal.worker("a").temporary().significant())
        .start()
        .await
        .unwrap();
    crash(&supervisor, "a").await;
    supervisor.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_significant_child_that_an_operator_stops_does_not_end_the_supervisor() {
    let (_, supervisor) = three(AutoShutdown::AnySignificant).await;
    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(children(&supervisor).await, ["a stopped", "b running", "c running"]);
}

#[tokio::test(start_paused = true)]
async fn a_significant_child_that_is_stopped_with_its_group_does_not_end_the_supervisor() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForAll)
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(journal.worker("a"))
        .child(journal.worker("b").temporary().significant())
        .start()
        .await
        .unwrap();
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a running"]);
}

async fn refused(auto_shutdown: AutoShutdown, child: impl Fn(ChildSpec) -> ChildSpec) -> SpecError {
    let journal = Journal::default();
    let supervisor = || Supervisor::new(Strategy::OneForOne).auto_shutdown(auto_shutdown);
    let error = supervisor().child(child(journal.worker("a"))).start().await.unwrap_err();
    let StartError::Spec { id, error } = error else { panic!("{error}") };
    assert_eq!(id, "a");

    // The same when it runs.
    let supervisor = supervisor().start().await.unwrap();
    let refused = supervisor.start_child(child(journal.worker("a"))).await.unwrap_err();
    assert_eq!(refused, StartChildError::Spec(error));
    assert!(journal.take().is_empty());
    error
}

#[tokio::test(start_paused = true)]
async fn a_significant_child_is_refused_without_automatic_shutdown() {
    let error = refused(AutoShutdown::Never, |spec| spec.transient().significant()).await;
    assert_eq!(error, SpecError::SignificantWithoutAutoShutdown);
}

#[tokio::test(start_paused = true)]
async fn a_significant_permanent_child_is_refused() {
    let error = refused(AutoShutdown::AnySignificant, |spec| spec.permanent().significant()).await;
    assert_eq!(error, SpecError::SignificantPermanent);
}
