//! Processes below a supervisor.

use std::time::Duration;

use playhouse::process::{
    ChildSpec, ExitReason, Mailbox, Process, Shutdown, SimpleOneForOne, Strategy, Supervisor, SupervisorRef,
};

use crate::stage::{Listener, SECOND, Say, crash, heard, listener};

fn spec(id: &'static str) -> ChildSpec {
    ChildSpec::process(id, Mailbox::default(), || (Listener { last_words: Duration::ZERO }, None))
}

async fn start(child: ChildSpec) -> SupervisorRef {
    Supervisor::new(Strategy::OneForOne).intensity(3, SECOND).child(child).start().await.unwrap()
}

async fn process(supervisor: &SupervisorRef) -> Process<Say> {
    supervisor.child("a").await.unwrap().reference().unwrap()
}

/// Waits until the actor is gone, so that its supervisor knows.
async fn gone(process: &Process<Say>) {
    process.cell().unwrap().wait(None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_supervised_process_is_called_by_its_reference() {
    let supervisor = start(spec("a")).await;
    let process = process(&supervisor).await;
    process.cast(Say::Word("a")).await.unwrap();
    assert_eq!(heard(&process).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_process_is_another_one_and_the_old_reference_says_noproc() {
    let supervisor = start(spec("a")).await;
    let before = process(&supervisor).await;
    crash(&before).await;
    gone(&before).await;
    let after = process(&supervisor).await;
    assert_ne!(before, after);
    assert!(!before.is_alive() && after.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_that_a_supervisor_stopped_its_child() {
    let (supervisor, observer) = (start(spec("a")).await, listener().await);
    observer.monitor(&process(&supervisor).await, Say::Down).unwrap();
    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(heard(&observer).await, ["down shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_that_a_supervisor_killed_its_child() {
    let child = ChildSpec::process("a", Mailbox::default(), || (Listener { last_words: 60 * SECOND }, None));
    let supervisor = start(child.shutdown(Shutdown::Timeout(SECOND))).await;
    let observer = listener().await;
    observer.monitor(&process(&supervisor).await, Say::Down).unwrap();
    supervisor.stop_and_wait().await;
    assert_eq!(heard(&observer).await, ["down killed"]);
}

/// The killed process takes the reason of the one that it is linked to, and that is what its supervisor goes by.
#[tokio::test(start_paused = true)]
async fn a_transient_process_that_ends_by_a_link_to_a_shutdown_is_not_restarted() {
    let supervisor = start(spec("a").transient()).await;
    let (child, other) = (process(&supervisor).await, listener().await);
    child.link(&other);
    other.stop(ExitReason::Shutdown);
    gone(&child).await;
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
}

#[tokio::test(start_paused = true)]
async fn a_transient_process_that_ends_by_a_link_to_a_crash_is_restarted() {
    let supervisor = start(spec("a").transient()).await;
    let (child, other) = (process(&supervisor).await, listener().await);
    child.link(&other);
    crash(&other).await;
    gone(&child).await;
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
    assert_ne!(process(&supervisor).await, child);
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_its_processes_with_it() {
    let supervisor = start(spec("a")).await;
    let child = process(&supervisor).await;
    supervisor.kill();
    assert_eq!(child.ended().await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one_starts_processes_with_an_argument_each() {
    let pool = SimpleOneForOne::process(Mailbox::default(), |last_words| (Listener { last_words }, None));
    let pool = pool.temporary().start().await.unwrap();
    let quick = pool.start_child(Duration::ZERO).await.unwrap();
    pool.start_child(SECOND).await.unwrap();
    let quick: Process<Say> = quick.reference().unwrap();
    crash(&quick).await;
    gone(&quick).await;
    assert_eq!(pool.count_children().await.unwrap().active, 1);
}
