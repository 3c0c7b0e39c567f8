//! `simple_one_for_one`: children that are all alike.

use std::time::Duration;

use playhouse::process::{
    ChildSpec, ExitReason, RunningChild, Shutdown, SimpleOneForOne, SimpleOneForOneRef, StartChildError,
    StartError, Strategy, Supervisor, TerminateChildError,
};

use crate::stage::{Cue, Journal, Player, SECOND, Script, Start, tell};

fn players() -> SimpleOneForOne<Script> {
    SimpleOneForOne::worker(|script: Script| (Player, script)).intensity(3, SECOND)
}

/// Started, with a journal of what its children do.
async fn pool() -> (Journal, SimpleOneForOneRef<Script>) {
    (Journal::default(), players().start().await.unwrap())
}

/// Tells a child what to do, and returns when it has ended and its supervisor has done something about it.
async fn cue(supervisor: &SimpleOneForOneRef<Script>, child: &RunningChild, cue: Cue) {
    tell(child, cue);
    child.cell().wait(None).await.unwrap();
    let _ = supervisor.count_children().await;
}

#[tokio::test(start_paused = true)]
async fn it_begins_without_children() {
    let supervisor = players().start().await.unwrap();
    let counts = supervisor.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.workers, counts.supervisors), (1, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_child_is_started_with_its_own_argument() {
    let (journal, supervisor) = pool().await;
    for id in ["a", "b", "c"] {
        supervisor.start_child(journal.script(id)).await.unwrap();
    }
    assert_eq!(journal.take(), ["start a", "start b", "start c"]);
    let counts = supervisor.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.workers), (1, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_child_is_restarted_alone_and_with_the_same_argument() {
    let (journal, supervisor) = pool().await;
    let a = supervisor.start_child(journal.script("a")).await.unwrap();
    supervisor.start_child(journal.script("b")).await.unwrap();
    journal.take();
    cue(&supervisor, &a, Cue::Panic("boom")).await;
    assert_eq!(journal.take(), ["start a"]);
    assert_eq!(supervisor.count_children().await.unwrap().active, 2);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_not_restarted_is_forgotten() {
    let journal = Journal::default();
    let supervisor = players().transient().start().await.unwrap();
    let a = supervisor.start_child(journal.script("a")).await.unwrap();
    cue(&supervisor, &a, Cue::End(ExitReason::Normal)).await;
    assert!(supervisor.which_children().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_tried_again() {
    let (journal, supervisor) = pool().await;
    let script = journal.script("a").starts([Start::Well, Start::Fail]);
    let a = supervisor.start_child(script).await.unwrap();
    journal.take();
    cue(&supervisor, &a, Cue::Panic("boom")).await;
    journal.until("fail a").await;
    journal.until("start a").await;
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_start_is_forgotten() {
    let (journal, supervisor) = pool().await;
    let error = supervisor.start_child(journal.script("a").starts([Start::Fail])).await.unwrap_err();
    assert_eq!(error, StartChildError::Failed(ExitReason::Crashed("no disk".to_owned())));
    assert!(supervisor.which_children().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn terminate_child_stops_one_child_and_forgets_it() {
    let (journal, supervisor) = pool().await;
    let a = supervisor.start_child(journal.script("a")).await.unwrap();
    supervisor.start_child(journal.script("b")).await.unwrap();
    journal.take();
    supervisor.terminate_child(&a).await.unwrap();
    assert_eq!(journal.take(), ["stop a"]);
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
    assert_eq!(supervisor.terminate_child(&a).await, Err(TerminateChildError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn all_children_are_stopped_at_the_same_time() {
    let journal = Journal::default();
    let supervisor = players().shutdown(Shutdown::Timeout(5 * SECOND)).start().await.unwrap();
    for id in ["a", "b", "c"] {
        supervisor.start_child(journal.script(id).last_words(2 * SECOND)).await.unwrap();
    }
    supervisor.start_child(journal.script("d").last_words(60 * SECOND)).await.unwrap();
    let before = tokio::time::Instant::now();
    supervisor.stop_and_wait().await;
    assert_eq!(before.elapsed().as_secs(), 5);
    let done = journal.take();
    assert_eq!(done.iter().filter(|line| line.starts_with("stop ")).count(), 3);
    assert!(done.contains(&"killed d".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_restart_too_many_ends_it() {
    let journal = Journal::default();
    let supervisor = players().intensity(0, SECOND).start_linked(journal.parent().await).await.unwrap();
    let a = supervisor.start_child(journal.script("a")).await.unwrap();
    supervisor.start_child(journal.script("b")).await.unwrap();
    cue(&supervisor, &a, Cue::Panic("boom")).await;
    journal.until("stop b").await;
    journal.until(r#"ended: Some("shutdown")"#).await;
}

#[tokio::test(start_paused = true)]
async fn more_children_than_there_may_be_are_refused() {
    let journal = Journal::default();
    let supervisor = players().children_max(1).start().await.unwrap();
    supervisor.start_child(journal.script("a")).await.unwrap();
    let refused = supervisor.start_child(journal.script("b")).await.unwrap_err();
    assert_eq!(refused, StartChildError::TooManyChildren);
}

#[tokio::test(start_paused = true)]
async fn significant_children_need_automatic_shutdown() {
    let error = players().transient().significant().start().await.unwrap_err();
    assert!(matches!(error, StartError::Spec { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_the_child_of_a_supervisor() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(ChildSpec::supervisor("pool", players))
        .start()
        .await
        .unwrap();
    let pool = supervisor.child("pool").await.unwrap();
    let pool: SimpleOneForOneRef<Script> = pool.reference().unwrap();
    pool.start_child(journal.script("a").last_words(Duration::from_secs(1))).await.unwrap();
    supervisor.stop_and_wait().await;
    assert_eq!(journal.take(), ["start a", "stopping a", "stop a"]);
}
