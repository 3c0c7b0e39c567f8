//! Calls always end.

use playhouse::process::{
    self, CallError, ChildSpec, ExitReason, Mailbox, Process, SpawnError, StartChildError, Strategy,
    Supervisor,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::stage::{Listener, SECOND, Say, boom, busy, crash, heard, listener};

#[tokio::test(start_paused = true)]
async fn a_call_has_its_answer() {
    let process = listener().await;
    process.cast(Say::Word("a")).await.unwrap();
    assert_eq!(heard(&process).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_process_that_ended_fails_at_once_with_noproc() {
    let process = listener().await;
    crash(&process).await;
    let before = Instant::now();
    assert_eq!(process.call(Say::Heard, SECOND).await, Err(CallError::NoProc));
    assert_eq!(before.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_panics_fails_the_call_with_its_message() {
    let process = listener().await;
    assert_eq!(process.call(Say::Crash, SECOND).await, Err(CallError::Died(boom())));
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_killed_fails_the_call_at_once() {
    let process = listener().await;
    let asked = async { process.call(Say::Keep, 3600 * SECOND).await };
    let kill = async {
        heard(&process).await;
        process.kill();
    };
    let before = Instant::now();
    let (answer, ()) = tokio::join!(asked, kill);
    assert_eq!(answer, Err(CallError::Died(ExitReason::Killed)));
    assert_eq!(before.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_killed_in_its_handler_fails_the_call_with_that_reason() {
    let process = listener().await;
    let _go = busy(&process).await;
    let asked = process.call(Say::Heard, SECOND);
    let kill = async { process.kill() };
    let (answer, ()) = tokio::join!(asked, kill);
    assert_eq!(answer, Err(CallError::Died(ExitReason::Killed)));
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_stops_before_it_answers_fails_the_call_with_its_reason() {
    let process = listener().await;
    let go = busy(&process).await;
    let asked = process.call(Say::Heard, 3600 * SECOND);
    let stop = async {
        process.stop(ExitReason::ShutdownWith("moved".to_owned()));
        drop(go);
    };
    let (answer, ()) = tokio::join!(asked, stop);
    assert_eq!(answer, Err(CallError::Died(ExitReason::ShutdownWith("moved".to_owned()))));
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_drops_the_reply_fails_the_call_and_lives_on() {
    let process = listener().await;
    let before = Instant::now();
    assert_eq!(process.call(Say::Forget, SECOND).await, Err(CallError::NoReply));
    assert_eq!(before.elapsed().as_millis(), 0);
    assert!(heard(&process).await.is_empty());
}

/// Whether it lives on is not known before its handler returns.
#[tokio::test(start_paused = true)]
async fn a_callee_that_drops_the_reply_and_then_panics_fails_the_call_with_its_message() {
    let process = listener().await;
    let answer = process.call(|reply| Say::ForgetThen(reply, SECOND, true), 60 * SECOND).await;
    assert_eq!(answer, Err(CallError::Died(boom())));
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_drops_the_reply_fails_the_call_when_its_handler_returns() {
    let process = listener().await;
    let before = Instant::now();
    let answer = process.call(|reply| Say::ForgetThen(reply, SECOND, false), 60 * SECOND).await;
    assert_eq!(answer, Err(CallError::NoReply));
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_keeps_the_reply_fails_the_call_at_its_deadline() {
    let process = listener().await;
    let before = Instant::now();
    assert_eq!(process.call(Say::Keep, SECOND).await, Err(CallError::Timeout));
    assert_eq!(before.elapsed().as_secs(), 1);
    assert!(process.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_calls_itself_is_told_so() {
    let process = listener().await;
    assert_eq!(process.call(Say::CallSelf, SECOND).await, Ok(CallError::CallingSelf));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_handler_is_the_reason_of_the_end() {
    let process = listener().await;
    process.cast(Say::End(ExitReason::Shutdown)).await.unwrap();
    assert_eq!(process.ended().await, ExitReason::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_has_ended_after_its_last_words() {
    let process =
        process::spawn(Listener { last_words: 2 * SECOND }, None, Mailbox::default()).await.unwrap();
    let before = Instant::now();
    process.stop(ExitReason::Normal);
    assert_eq!(process.ended().await, ExitReason::Normal);
    assert_eq!(before.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_in_its_last_words_was_killed() {
    let process =
        process::spawn(Listener { last_words: 60 * SECOND }, None, Mailbox::default()).await.unwrap();
    process.stop(ExitReason::Normal);
    assert!(tokio::time::timeout(SECOND, process.ended()).await.is_err());
    process.kill();
    assert_eq!(process.ended().await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_start_says_why() {
    let listener = Listener { last_words: SECOND };
    let error = process::spawn(listener, Some("no disk"), Mailbox::default()).await.unwrap_err();
    assert_eq!(error, SpawnError(ExitReason::Crashed("no disk".to_owned())));
}

/// Is ended like this before it has started.
struct Starter;

type End = Box<dyn FnOnce(&Process<Say>) + Send>;

impl Actor for Starter {
    type Msg = Say;
    type State = ();
    type Arguments = End;

    async fn pre_start(&self, myself: ActorRef<Say>, end: End) -> Result<(), ActorProcessingErr> {
        end(&Process::of(&myself).unwrap());
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_while_it_starts_says_so() {
    let error = process::spawn(Starter, Box::new(Process::kill), Mailbox::default()).await.unwrap_err();
    assert_eq!(error, SpawnError(ExitReason::Killed));
}

/// What its supervisor goes by, and what people read in its log.
#[tokio::test(start_paused = true)]
async fn a_process_that_ends_by_a_link_while_it_starts_has_that_reason() {
    let dead = listener().await;
    crash(&dead).await;
    let end = move |process: &Process<Say>| process.link(&dead);
    let error = process::spawn(Starter, Box::new(end.clone()), Mailbox::default()).await.unwrap_err();
    assert_eq!(error, SpawnError(ExitReason::NoProc));
    let supervisor = Supervisor::new(Strategy::OneForOne).start().await.unwrap();
    let child = ChildSpec::process("a", Mailbox::default(), move || (Starter, Box::new(end.clone())));
    let error = supervisor.start_child(child).await.unwrap_err();
    assert_eq!(error, StartChildError::Failed(ExitReason::NoProc));
}
