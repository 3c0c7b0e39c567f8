//! Linked processes end together, or hear of it.

use std::sync::Arc;

use playhouse::process::{Exit, ExitReason, Process};

use crate::stage::{SECOND, Say, boom, busy, crash, heard, listener};

async fn pair() -> (Process<Say>, Process<Say>) {
    let (one, other) = (listener().await, listener().await);
    one.link(&other);
    (one, other)
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_with_the_one_it_is_linked_to_and_for_the_same_reason() {
    let (one, other) = pair().await;
    crash(&one).await;
    assert_eq!(other.ended().await, boom());
}

#[tokio::test(start_paused = true)]
async fn a_link_goes_both_ways() {
    let (one, other) = pair().await;
    other.kill();
    assert_eq!(one.ended().await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_goes_along_a_link() {
    let (one, other) = pair().await;
    one.stop(ExitReason::Shutdown);
    assert_eq!(other.ended().await, ExitReason::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_normal_end_does_not_go_along_a_link() {
    let (one, other) = pair().await;
    one.stop(ExitReason::Normal);
    one.ended().await;
    tokio::time::sleep(SECOND).await;
    assert!(other.is_alive());
    assert!(heard(&other).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_end_goes_along_a_chain() {
    let (one, two) = pair().await;
    let three = listener().await;
    two.link(&three);
    crash(&one).await;
    assert_eq!(three.ended().await, boom());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_traps_exits_is_told_instead() {
    let (one, other) = pair().await;
    other.trap_exit(Say::Exit);
    crash(&one).await;
    assert_eq!(heard(&other).await, ["exit boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_traps_exits_is_told_of_a_normal_end() {
    let (one, other) = pair().await;
    other.trap_exit(Say::Exit);
    one.stop(ExitReason::Normal);
    one.ended().await;
    assert_eq!(heard(&other).await, ["exit normal"]);
}

#[tokio::test(start_paused = true)]
async fn linking_twice_is_linking_once() {
    let (one, other) = pair().await;
    one.link(&other);
    other.link(&one);
    other.trap_exit(Say::Exit);
    crash(&one).await;
    assert_eq!(heard(&other).await, ["exit boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_taken_back_has_no_effect() {
    let (one, other) = pair().await;
    other.unlink(&one);
    crash(&one).await;
    tokio::time::sleep(SECOND).await;
    assert!(other.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_link_to_a_process_that_had_ended_is_noproc() {
    let (dead, one, traps) = (listener().await, listener().await, listener().await);
    crash(&dead).await;
    traps.trap_exit(Say::Exit);
    traps.link(&dead);
    assert_eq!(heard(&traps).await, ["exit noproc"]);
    one.link(&dead);
    assert_eq!(one.ended().await, ExitReason::NoProc);
}

#[tokio::test(start_paused = true)]
async fn a_link_interrupts_a_handler() {
    let (one, other) = pair().await;
    let _go = busy(&other).await;
    crash(&one).await;
    assert_eq!(other.ended().await, boom());
}

#[tokio::test(start_paused = true)]
async fn a_link_to_itself_is_none() {
    let one = listener().await;
    one.link(&one);
    assert!(heard(&one).await.is_empty());
}

/// The other one has ended, and its signals are on their way.
#[tokio::test(start_paused = true)]
async fn a_link_that_was_taken_back_while_the_other_one_dies_has_no_effect() {
    let (one, other) = pair().await;
    let observer = listener().await;
    let (dying, lives) = (one.clone(), other.clone());
    // Monitors are told before links.
    observer
        .monitor(&one, move |down| {
            lives.unlink(&dying);
            Say::Down(down)
        })
        .unwrap();
    crash(&one).await;
    one.cell().unwrap().wait(None).await.unwrap();
    assert_eq!(heard(&observer).await, ["down boom"]);
    tokio::time::sleep(SECOND).await;
    assert!(other.is_alive());
}

/// It is told once, and why.
#[tokio::test(start_paused = true)]
async fn linking_once_more_while_the_other_one_dies_changes_nothing() {
    let (one, other) = pair().await;
    let observer = listener().await;
    other.trap_exit(Say::Exit);
    let (dying, lives) = (one.clone(), other.clone());
    observer
        .monitor(&one, move |down| {
            lives.link(&dying);
            Say::Down(down)
        })
        .unwrap();
    crash(&one).await;
    one.cell().unwrap().wait(None).await.unwrap();
    assert_eq!(heard(&other).await, ["exit boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_trap_that_panics_ends_its_process_and_nobody_else() {
    let (one, traps) = pair().await;
    let (later, last) = (listener().await, listener().await);
    one.link(&later);
    one.link(&last);
    traps.trap_exit(|_| -> Say { panic!("no cup") });
    crash(&one).await;
    assert_eq!(traps.ended().await, ExitReason::Crashed("no cup".to_owned()));
    assert_eq!(later.ended().await, boom());
    assert_eq!(last.ended().await, boom());
}

/// A trap holds whatever its closure holds, often its own process: each restart would leave one behind.
#[tokio::test(start_paused = true)]
async fn a_trap_goes_with_its_process() {
    let kept = Arc::new(());
    let trap = |process: &Process<Say>| {
        let (held, itself) = (Arc::clone(&kept), process.clone());
        process.trap_exit(move |exit: Exit| {
            let _ = (&held, &itself);
            Say::Exit(exit)
        });
    };
    let process = listener().await;
    trap(&process);
    process.kill();
    process.cell().unwrap().wait(None).await.unwrap();
    assert_eq!(Arc::strong_count(&kept), 1);
    trap(&process);
    assert_eq!(Arc::strong_count(&kept), 1, "it is too late for a trap");
}
