//! What an operator can do with a supervisor that runs.

use playhouse::process::{
    Backoff, ChildSpec, ChildType, DeleteChildError, ExitReason, FindChildError, RequestError, Restart,
    RestartChildError, StartChildError, Strategy, Supervisor, SupervisorRef, TerminateChildError,
};

use crate::stage::{Cue, Journal, SECOND, Start, children, crash, cue};

/// Two children, `a` and `b`, and an empty journal.
async fn two() -> (Journal, SupervisorRef) {
    let journal = Journal::default();
    let supervisor =
        Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).child(journal.worker("b"));
    let supervisor = supervisor.start().await.unwrap();
    journal.take();
    (journal, supervisor)
}

/// One child, `a`, which waits for its restart.
async fn restarting() -> (Journal, SupervisorRef) {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).backoff(Backoff::new(60 * SECOND, 60 * SECOND));
    let supervisor = supervisor.child(journal.worker("a")).start().await.unwrap();
    crash(&supervisor, "a").await;
    journal.take();
    (journal, supervisor)
}

#[tokio::test(start_paused = true)]
async fn start_child_adds_a_child_at_the_right_end_and_starts_it() {
    let (journal, supervisor) = two().await;
    let started = supervisor.start_child(journal.worker("c")).await.unwrap();
    let found = supervisor.child("c").await.unwrap();
    assert_eq!(started.cell().get_id(), found.cell().get_id());
    supervisor.stop_and_wait().await;
    assert_eq!(journal.take(), ["start c", "stop c", "stop b", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn start_child_refuses_the_id_of_a_child_that_runs() {
    let (journal, supervisor) = two().await;
    let refused = supervisor.start_child(journal.worker("a")).await.unwrap_err();
    assert_eq!(refused, StartChildError::AlreadyStarted);
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn start_child_refuses_the_id_of_a_child_that_does_not_run() {
    let (journal, supervisor) = two().await;
    supervisor.terminate_child("a").await.unwrap();
    let refused = supervisor.start_child(journal.worker("a")).await.unwrap_err();
    assert_eq!(refused, StartChildError::AlreadyPresent);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_start_child_could_not_start_is_forgotten() {
    let (journal, supervisor) = two().await;
    let child = journal.script("c").starts([Start::Fail]).worker();
    let refused = supervisor.start_child(child).await.unwrap_err();
    assert_eq!(refused, StartChildError::Failed(ExitReason::Crashed("no disk".to_owned())));
    assert_eq!(children(&supervisor).await, ["a running", "b running"]);
}

#[tokio::test(start_paused = true)]
async fn start_child_refuses_more_children_than_there_may_be() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).children_max(1).start().await.unwrap();
    supervisor.start_child(journal.worker("a")).await.unwrap();
    let refused = supervisor.start_child(journal.worker("b")).await.unwrap_err();
    assert_eq!(refused, StartChildError::TooManyChildren);
}

#[tokio::test(start_paused = true)]
async fn terminate_child_stops_a_child_and_keeps_its_specification() {
    let (journal, supervisor) = two().await;
    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(journal.take(), ["stop a"]);
    assert_eq!(children(&supervisor).await, ["a stopped", "b running"]);
}

#[tokio::test(start_paused = true)]
async fn terminate_child_of_a_child_that_does_not_run_changes_nothing() {
    let (journal, supervisor) = two().await;
    supervisor.terminate_child("a").await.unwrap();
    journal.take();
    supervisor.terminate_child("a").await.unwrap();
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn terminate_child_forgets_a_temporary_child() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(journal.worker("a").temporary());
    let supervisor = supervisor.start().await.unwrap();
    supervisor.terminate_child("a").await.unwrap();
    assert!(children(&supervisor).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn terminate_child_of_an_unknown_child_says_so() {
    let (_, supervisor) = two().await;
    assert_eq!(supervisor.terminate_child("x").await, Err(TerminateChildError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_terminated_is_not_restarted() {
    let (journal, supervisor) = restarting().await;
    supervisor.terminate_child("a").await.unwrap();
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(children(&supervisor).await, ["a stopped"]);
    assert!(journal.take().is_empty());
}

/// They went down because of it; it is not coming back, so they come back without it.
#[tokio::test(start_paused = true)]
async fn the_group_of_a_child_that_is_terminated_while_it_waits_comes_up_without_it() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForAll).backoff(Backoff::new(60 * SECOND, 60 * SECOND));
    let supervisor = supervisor.child(journal.worker("a")).child(journal.worker("b")).start().await.unwrap();
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a restarting", "b stopped"]);
    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(children(&supervisor).await, ["a stopped", "b running"]);
}

#[tokio::test(start_paused = true)]
async fn restart_child_starts_a_child_that_was_terminated_and_does_not_count_as_a_restart() {
    let (journal, supervisor) = two().await;
    for _ in 0..10 {
        supervisor.terminate_child("a").await.unwrap();
        supervisor.restart_child("a").await.unwrap();
    }
    assert_eq!(journal.take().len(), 20);
    crash(&supervisor, "a").await;
    assert_eq!(children(&supervisor).await, ["a running", "b running"]);
}

#[tokio::test(start_paused = true)]
async fn restart_child_starts_a_transient_child_that_had_ended() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(journal.worker("a").transient());
    let supervisor = supervisor.start().await.unwrap();
    cue(&supervisor, "a", Cue::Stop(None)).await;
    supervisor.restart_child("a").await.unwrap();
    assert_eq!(children(&supervisor).await, ["a running"]);
}

#[tokio::test(start_paused = true)]
async fn restart_child_refuses_a_child_that_runs_is_being_restarted_or_is_unknown() {
    let (_, supervisor) = two().await;
    assert_eq!(supervisor.restart_child("a").await.unwrap_err(), RestartChildError::Running);
    assert_eq!(supervisor.restart_child("x").await.unwrap_err(), RestartChildError::NotFound);
    let (_, supervisor) = restarting().await;
    assert_eq!(supervisor.restart_child("a").await.unwrap_err(), RestartChildError::Restarting);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_restart_child_could_not_start_keeps_its_specification() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Well, Start::Fail]).worker();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(child).start().await.unwrap();
    supervisor.terminate_child("a").await.unwrap();
    let refused = supervisor.restart_child("a").await.unwrap_err();
    assert_eq!(refused, RestartChildError::Failed(ExitReason::Crashed("no disk".to_owned())));
    assert_eq!(children(&supervisor).await, ["a stopped"]);
    supervisor.restart_child("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn delete_child_forgets_a_child_that_does_not_run() {
    let (journal, supervisor) = two().await;
    supervisor.terminate_child("a").await.unwrap();
    supervisor.delete_child("a").await.unwrap();
    assert_eq!(children(&supervisor).await, ["b running"]);
    // Its id is free again.
    supervisor.start_child(journal.worker("a")).await.unwrap();
    assert_eq!(children(&supervisor).await, ["b running", "a running"]);
}

#[tokio::test(start_paused = true)]
async fn delete_child_refuses_a_child_that_runs_is_being_restarted_or_is_unknown() {
    let (_, supervisor) = two().await;
    assert_eq!(supervisor.delete_child("a").await, Err(DeleteChildError::Running));
    assert_eq!(supervisor.delete_child("x").await, Err(DeleteChildError::NotFound));
    let (_, supervisor) = restarting().await;
    assert_eq!(supervisor.delete_child("a").await, Err(DeleteChildError::Restarting));
}

#[tokio::test(start_paused = true)]
async fn which_children_tells_id_state_and_type_of_each_in_order() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(journal.worker("a"))
        .child(ChildSpec::supervisor("inner", || Supervisor::new(Strategy::OneForOne)))
        .start()
        .await
        .unwrap();
    supervisor.terminate_child("a").await.unwrap();
    let view: Vec<_> = supervisor.which_children().await.unwrap();
    let types: Vec<_> = view.iter().map(|child| child.child_type).collect();
    assert_eq!(types, [ChildType::Worker, ChildType::Supervisor]);
    assert_eq!(children(&supervisor).await, ["a stopped", "inner running"]);
}

#[tokio::test(start_paused = true)]
async fn count_children_counts_specifications_active_children_supervisors_and_workers() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(journal.worker("a"))
        .child(journal.worker("b"))
        .child(ChildSpec::supervisor("inner", || Supervisor::new(Strategy::OneForOne)))
        .start()
        .await
        .unwrap();
    supervisor.terminate_child("a").await.unwrap();
    let counts = supervisor.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (3, 2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_a_child_can_be_read() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).child(journal.worker("a").transient());
    let supervisor = supervisor.start().await.unwrap();
    assert_eq!(supervisor.child_rules("a").await.unwrap().restart, Restart::Transient);
    assert_eq!(supervisor.child_rules("x").await, Err(FindChildError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_run_has_no_reference() {
    let (_, supervisor) = restarting().await;
    assert_eq!(supervisor.child("a").await.unwrap_err(), FindChildError::NotRunning);
    assert_eq!(supervisor.child("x").await.unwrap_err(), FindChildError::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_a_supervisor_that_ended_fails_at_once_with_noproc() {
    let (_, supervisor) = two().await;
    supervisor.stop_and_wait().await;
    assert_eq!(supervisor.count_children().await, Err(RequestError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_when_the_supervisor_ends_fails_with_noproc() {
    let (journal, supervisor) = two().await;
    let hangs = journal.script("c").starts([Start::Hang]).worker();
    let asked = supervisor.start_child(hangs);
    let waits = supervisor.count_children();
    let kill = async {
        journal.until("hang c").await;
        supervisor.kill();
    };
    let (asked, waits, ()) = tokio::join!(asked, waits, kill);
    assert_eq!(asked.unwrap_err(), StartChildError::Request(RequestError::NoProc));
    assert_eq!(waits, Err(RequestError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn a_request_to_a_supervisor_that_is_busy_ends_at_its_deadline() {
    let (journal, supervisor) = two().await;
    let hangs = journal.script("c").starts([Start::Hang]).worker();
    let before = tokio::time::Instant::now();
    let answer = supervisor.clone().with_timeout(3 * SECOND).start_child(hangs).await;
    assert_eq!(answer.unwrap_err(), StartChildError::Request(RequestError::Timeout));
    assert_eq!(before.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_wait_are_refused() {
    let (journal, supervisor) = two().await;
    let hangs = journal.script("c").starts([Start::Hang]).worker();
    let requests = (0..1_100).map(|_| supervisor.count_children());
    let (_, answers) = tokio::join!(supervisor.start_child(hangs), futures_util::future::join_all(requests));
    let overloaded = answers.iter().filter(|answer| **answer == Err(RequestError::Overloaded)).count();
    assert_eq!(overloaded, 1_100 - 1_023);
}
