//! Mailboxes with bounds.

use playhouse::process::{CallError, CastError, ExitReason, Mailbox, MailboxStats, Policy};

use crate::stage::{SECOND, Say, busy, crash, full, heard, listener, two, with_mailbox};

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_are_handled_in_their_order() {
    let process = listener().await;
    for word in ["a", "b", "c"] {
        process.cast(Say::Word(word)).await.unwrap();
    }
    assert_eq!(heard(&process).await, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_and_counts() {
    let (process, go) = full(Policy::Refuse).await;
    assert_eq!(process.cast(Say::Word("c")).await, Err(CastError::Full));
    assert_eq!(process.call(Say::Heard, SECOND).await, Err(CallError::Full));
    let MailboxStats { messages, refused, .. } = process.mailbox();
    assert_eq!((messages, refused), (2, 2));
    drop(go);
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_message_is_free_when_its_handler_begins() {
    let process = with_mailbox(two(Policy::Refuse).messages_max(1)).await;
    let go = busy(&process).await;
    assert_eq!(process.mailbox().messages, 0);
    process.cast(Say::Word("a")).await.unwrap();
    assert_eq!(process.mailbox().messages, 1);
    drop(go);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_if_that_is_the_policy() {
    let (process, go) = full(Policy::Wait).await;
    assert_eq!(process.try_cast(Say::Word("never")), Err(CastError::Full));
    let third = process.cast(Say::Word("c"));
    tokio::pin!(third);
    assert!(tokio::time::timeout(SECOND, &mut third).await.is_err());
    drop(go);
    third.await.unwrap();
    assert_eq!(heard(&process).await, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_room_ends_at_its_deadline() {
    let (process, _go) = full(Policy::Wait).await;
    assert_eq!(process.call(Say::Heard, SECOND).await, Err(CallError::Timeout));
    assert_eq!(process.mailbox().messages, 2);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_told_when_the_process_ends() {
    let (process, _go) = full(Policy::Wait).await;
    let kill = async { process.kill() };
    let (sent, ()) = tokio::join!(process.cast(Say::Word("c")), kill);
    assert_eq!(sent, Err(CastError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_messages_make_room_if_that_is_the_policy() {
    let process = with_mailbox(two(Policy::DropOldest)).await;
    let go = busy(&process).await;
    for word in ["a", "b", "c", "d"] {
        process.cast(Say::Word(word)).await.unwrap();
    }
    let MailboxStats { messages, dropped, .. } = process.mailbox();
    assert_eq!((messages, dropped), (2, 2));
    drop(go);
    process.cast(Say::Word("e")).await.unwrap();
    let all = heard(&process).await;
    assert!(!all.contains(&"a".to_owned()) && all.ends_with(&["e".to_owned()]), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_message_made_room_has_no_reply() {
    let process = with_mailbox(two(Policy::DropOldest)).await;
    let go = busy(&process).await;
    let asked = process.call(Say::Heard, SECOND);
    let others = async {
        for word in ["a", "b"] {
            process.cast(Say::Word(word)).await.unwrap();
        }
        drop(go);
    };
    let (answer, ()) = tokio::join!(asked, others);
    assert_eq!(answer, Err(CallError::NoReply));
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_as_well() {
    let weigh = |say: &Say| if let Say::Word(word) = say { word.len() } else { 0 };
    let process = with_mailbox(Mailbox::new(Policy::Refuse).bytes_max(5).weigh(weigh)).await;
    let go = busy(&process).await;
    process.cast(Say::Word("abc")).await.unwrap();
    assert_eq!(process.cast(Say::Word("def")).await, Err(CastError::Full));
    assert_eq!(process.cast(Say::Word("abcdef")).await, Err(CastError::TooLarge));
    process.cast(Say::Word("de")).await.unwrap();
    assert_eq!(process.mailbox().bytes, 5);
    drop(go);
    assert_eq!(heard(&process).await, ["abc", "de"]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_at_the_end_are_dead_letters() {
    let process = listener().await;
    let _go = busy(&process).await;
    for word in ["a", "b"] {
        process.cast(Say::Word(word)).await.unwrap();
    }
    process.kill();
    assert_eq!(process.ended().await, ExitReason::Killed);
    assert_eq!(process.mailbox(), MailboxStats { dead_letters: 2, ..MailboxStats::default() });
    assert_eq!(process.cast(Say::Word("c")).await, Err(CastError::NoProc));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_drains_handles_what_waits_and_refuses_the_rest() {
    let process = listener().await;
    let go = busy(&process).await;
    let asked = process.call(Say::Heard, SECOND);
    let drain = async {
        process.drain();
        assert_eq!(process.cast(Say::Word("late")).await, Err(CastError::NoProc));
        drop(go);
    };
    let (answer, ()) = tokio::join!(asked, drain);
    assert!(answer.unwrap().is_empty());
    assert_eq!(process.ended().await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_that_drains_says_noproc_because_waiting_is_of_no_use() {
    let (process, _go) = full(Policy::Refuse).await;
    process.drain();
    assert_eq!(process.cast(Say::Word("c")).await, Err(CastError::NoProc));
    assert_eq!(process.mailbox().messages, 2);
}

/// `ractor` knows before the mailbox does.
#[tokio::test(start_paused = true)]
async fn a_message_to_a_process_that_ractor_drains_is_taken_back() {
    let process = listener().await;
    let _go = busy(&process).await;
    process.cell().unwrap().drain().unwrap();
    assert_eq!(process.cast(Say::Word("late")).await, Err(CastError::NoProc));
    assert_eq!(process.mailbox(), MailboxStats::default());
}

/// What it has taken before, it handles.
#[tokio::test(start_paused = true)]
async fn a_process_that_ractor_drains_handles_what_waits() {
    let process = listener().await;
    let go = busy(&process).await;
    let asked = async {
        for word in ["a", "b"] {
            process.cast(Say::Word(word)).await.unwrap();
        }
        process.call(Say::Heard, SECOND).await
    };
    let drain = async {
        process.cell().unwrap().drain().unwrap();
        drop(go);
    };
    let (answer, ()) = tokio::join!(asked, drain);
    assert_eq!(answer.unwrap(), ["a", "b"]);
    process.ended().await;
    assert_eq!(process.mailbox(), MailboxStats::default());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ractor_drains_can_be_stopped() {
    let process = listener().await;
    let go = busy(&process).await;
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (second, goes) = tokio::sync::oneshot::channel();
    process.cast(Say::Word("a")).await.unwrap();
    process.cast(Say::Wait(begun, goes)).await.unwrap();
    let asked = process.call(Say::Heard, SECOND);
    let stop = async {
        process.cell().unwrap().drain().unwrap();
        drop(go);
        begins.await.unwrap();
        process.stop(ExitReason::Shutdown);
        drop(second);
    };
    let (answer, ()) = tokio::join!(asked, stop);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(process.ended().await, ExitReason::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_process_sends_to_itself_within_its_bounds() {
    let process = listener().await;
    process.cast(Say::SendSelf("me")).await.unwrap();
    assert!(heard(&process).await.is_empty(), "it was asked before");
    assert_eq!(heard(&process).await, ["me"]);
}

/// It would wait for itself for ever.
#[tokio::test(start_paused = true)]
async fn a_process_never_waits_for_room_in_its_own_mailbox() {
    let process = with_mailbox(two(Policy::Wait)).await;
    assert_eq!(process.call(|reply| Say::Flood(5, reply), SECOND).await, Ok(3));
}

/// What it asked for before, it is told of.
#[tokio::test(start_paused = true)]
async fn a_process_that_drains_is_told_of_the_end_of_those_that_it_monitors() {
    let (process, target) = (listener().await, listener().await);
    let go = busy(&process).await;
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (second, goes) = tokio::sync::oneshot::channel();
    process.cast(Say::Wait(begun, goes)).await.unwrap();
    let (told, tells) = tokio::sync::oneshot::channel();
    process.monitor(&target, |down| Say::Tell(told, format!("down {}", down.reason))).unwrap();
    process.drain();
    drop(go);
    begins.await.unwrap();
    crash(&target).await;
    drop(second);
    assert_eq!(tells.await.unwrap(), "down boom");
    assert_eq!(process.ended().await, ExitReason::Normal);
}
