//! Messages for later.

use playhouse::process::{Mailbox, MailboxStats, Policy, TimerError};
use tokio::sync::oneshot;

use crate::stage::{SECOND, Say, crash, full, heard, listener, with_mailbox};

#[tokio::test(start_paused = true)]
async fn a_message_comes_after_its_time_and_not_before() {
    let process = listener().await;
    process.send_after(3 * SECOND, Say::Word("a")).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert!(heard(&process).await.is_empty());
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(heard(&process).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_was_cancelled_sends_nothing() {
    let process = listener().await;
    let timer = process.send_after(3 * SECOND, Say::Word("a")).unwrap();
    assert!(timer.cancel());
    assert!(!timer.cancel());
    tokio::time::sleep(10 * SECOND).await;
    assert!(heard(&process).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_has_sent_cannot_be_cancelled() {
    let process = listener().await;
    let timer = process.send_after(SECOND, Say::Word("a")).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert!(!timer.cancel());
    assert_eq!(heard(&process).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_and_its_message_end_with_the_process() {
    let process = listener().await;
    let ((begun, dropped), (_go, goes)) = (oneshot::channel(), oneshot::channel());
    process.send_after(3600 * SECOND, Say::Wait(begun, goes)).unwrap();
    let before = tokio::time::Instant::now();
    crash(&process).await;
    dropped.await.unwrap_err();
    assert_eq!(before.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_finds_no_room_is_counted_as_refused() {
    let (process, _go) = full(Policy::Wait).await;
    process.send_after(SECOND, Say::Word("c")).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    let MailboxStats { messages, refused, .. } = process.mailbox();
    assert_eq!((messages, refused), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn timers_are_bounded_until_they_have_sent_or_are_cancelled() {
    let process = with_mailbox(Mailbox::default().timers_max(2)).await;
    let timer = || process.send_after(SECOND, Say::Word("a"));
    let cancelled = timer().unwrap();
    timer().unwrap();
    assert_eq!(timer().unwrap_err(), TimerError::TooMany);
    assert!(cancelled.cancel());
    timer().unwrap();
    assert_eq!(timer().unwrap_err(), TimerError::TooMany);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(heard(&process).await, ["a", "a"]);
    timer().unwrap();
    timer().unwrap();
}
