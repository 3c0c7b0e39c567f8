//! How a supervisor starts.

use playhouse::process::{ChildSpec, ExitReason, Restart, Shutdown, StartError, Strategy, Supervisor};

use crate::stage::{Journal, SECOND, Start, children};

#[tokio::test(start_paused = true)]
async fn children_are_started_from_left_to_right() {
    let journal = Journal::default();
    let ids = ["a", "b", "c"];
    let supervisor = Supervisor::new(Strategy::OneForOne);
    ids.into_iter().fold(supervisor, |all, id| all.child(journal.worker(id))).start().await.unwrap();
    assert_eq!(journal.take(), ["start a", "start b", "start c"]);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_has_started_when_all_its_children_run() {
    let journal = Journal::default();
    let supervisor =
        Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).child(journal.worker("b"));
    let supervisor = supervisor.start().await.unwrap();
    assert_eq!(children(&supervisor).await, ["a running", "b running"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_start_takes_those_before_it_down_from_right_to_left_and_fails_the_supervisor()
{
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(journal.worker("a"))
        .child(journal.worker("b"))
        .child(journal.script("c").starts([Start::Fail]).worker())
        .child(journal.worker("d"));
    let error = supervisor.start().await.unwrap_err();
    let StartError::Child { id, reason } = error else { panic!("{error}") };
    assert_eq!((id.as_str(), reason), ("c", ExitReason::Crashed("no disk".to_owned())));
    assert_eq!(journal.take(), ["start a", "start b", "fail c", "stop b", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_first_start_fails_does_not_try_again() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Fail]).worker();
    let supervisor = Supervisor::new(Strategy::OneForOne).intensity(10, SECOND).child(child);
    supervisor.start().await.unwrap_err();
    assert_eq!(journal.take(), ["fail a"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_the_start_is_the_reason_with_its_message() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Panic]).worker();
    let error = Supervisor::new(Strategy::OneForOne).child(child).start().await.unwrap_err();
    assert_eq!(error.to_string(), r#"child "a" did not start: no cup"#);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_maker_is_the_reason_with_its_message() {
    let child = ChildSpec::supervisor("a", || -> Supervisor { panic!("no plan") });
    let error = Supervisor::new(Strategy::OneForOne).child(child).start().await.unwrap_err();
    assert_eq!(error.to_string(), r#"child "a" did not start: no plan"#);
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_timeout_fails_when_it_takes_longer() {
    let journal = Journal::default();
    let child = journal.script("a").starts([Start::Hang]).worker().start_timeout(SECOND);
    let before = tokio::time::Instant::now();
    let error = Supervisor::new(Strategy::OneForOne).child(child).start().await.unwrap_err();
    assert_eq!(error.to_string(), r#"child "a" did not start: did not start within 1s"#);
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_children_of_one_id_are_refused_before_anything_starts() {
    let journal = Journal::default();
    let supervisor =
        Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).child(journal.worker("a"));
    let error = supervisor.start().await.unwrap_err();
    assert!(matches!(&error, StartError::DuplicateId { id } if id == "a"), "{error}");
    assert!(journal.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn more_children_than_there_may_be_are_refused_before_anything_starts() {
    let journal = Journal::default();
    let supervisor = Supervisor::new(Strategy::OneForOne).children_max(1);
    let error = supervisor.child(journal.worker("a")).child(journal.worker("b")).start().await.unwrap_err();
    assert!(matches!(error, StartError::TooManyChildren { children_max: 1 }), "{error}");
    assert!(journal.take().is_empty());
}

/// Permanent; a worker has five seconds to stop, a supervisor all the time it wants.
#[tokio::test(start_paused = true)]
async fn the_defaults_of_a_child_are_those_of_otp() {
    let worker = *Journal::default().worker("a").rules();
    assert_eq!((worker.restart, worker.significant), (Restart::Permanent, false));
    assert_eq!(worker.shutdown, Shutdown::Timeout(5 * SECOND));
    let supervisor = ChildSpec::supervisor("b", || Supervisor::new(Strategy::OneForOne));
    assert_eq!(supervisor.rules().shutdown, Shutdown::Infinity);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_ended_has_no_new_child() {
    let journal = Journal::default();
    let parent = journal.parent().await;
    parent.kill_and_wait(None).await.unwrap();
    let started = Supervisor::new(Strategy::OneForOne).child(journal.worker("a")).start_linked(parent).await;
    assert!(matches!(started, Err(StartError::Interrupted(_))), "{started:?}");
    journal.until("killed a").await;
}
