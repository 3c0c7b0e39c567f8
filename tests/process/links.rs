//! Linked processes end together, or hear of it.

use playhouse::process::{ExitReason, Process};

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
