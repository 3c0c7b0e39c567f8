//! Calls to another node end, whatever happens.

use super::{super::Portable, stage::*};
use crate::process::{CallError, CastError, ExitReason};

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_what_is_known() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    assert_eq!(far.call(Say::Forget, PATIENCE).await, Err(CallError::NoReply));
    assert_eq!(far.call(Say::Keep, SECOND).await, Err(CallError::Timeout));
    assert_eq!(far.call(Say::Crash, PATIENCE).await, Err(CallError::Died(boom())));
    assert_eq!(far.call(Say::Answer, PATIENCE).await, Err(CallError::NoProc));
    assert_eq!(far.ended().await, ExitReason::NoProc);
}

/// A callee that keeps the place for the answer and ends for another reason.
#[tokio::test]
async fn a_caller_hears_that_the_called_process_ended() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    let call = far.call(Say::Keep, PATIENCE);
    let end = async {
        settle(&one, &other).await;
        far.stop(ExitReason::ShutdownWith("moved".to_owned()));
    };
    let (answer, ()) = tokio::join!(call, end);
    assert_eq!(answer, Err(CallError::Died(ExitReason::ShutdownWith("moved".to_owned()))));
}

#[tokio::test(start_paused = true)]
async fn calls_fail_at_once_when_the_lane_ends_and_as_long_as_there_is_none() {
    let (one, other, lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    let begun = tokio::time::Instant::now();
    let call = far.call(Say::Keep, PATIENCE);
    let cut = async {
        settle(&one, &other).await;
        lane.cut().await;
    };
    let (answer, ()) = tokio::join!(call, cut);
    assert_eq!(answer, Err(CallError::NoConnection));
    assert_eq!(far.call(Say::Answer, PATIENCE).await, Err(CallError::NoConnection));
    assert_eq!(far.try_cast(Say::TrapExit), Err(CastError::NoConnection));
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO, "nobody waited");

    let _lane = Lane::open(&one, &other);
    assert_eq!(far.call(Say::Answer, SECOND).await, Ok(listener.id().to_string()), "the process ran on");
}

/// A node that does not read: the deadline holds.
#[tokio::test(start_paused = true)]
async fn a_call_over_a_lane_that_stands_still_ends_at_its_deadline() {
    let (one, other, lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    lane.hold();
    let begun = tokio::time::Instant::now();
    assert_eq!(far.call(Say::Answer, SECOND).await, Err(CallError::Timeout));
    assert_eq!(begun.elapsed(), SECOND);
    lane.release();
    assert_eq!(far.call(Say::Answer, SECOND).await, Ok(listener.id().to_string()));
}

/// Places for answers that nobody waits for must not use up all there are.
#[tokio::test(start_paused = true)]
async fn calls_that_ended_make_room_for_others() {
    let config = super::super::Config { calls_max: 4, ..Default::default() };
    let (one, other) = (node(1), start(2, 1, config));
    let _lane = Lane::open(&one, &other);
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    for _ in 0..20 {
        assert_eq!(far.call(Say::Keep, SECOND).await, Err(CallError::Timeout));
    }
    assert_eq!(far.call(Say::Answer, SECOND).await, Ok(listener.id().to_string()));
}

/// They once counted as waiting until the lane ended, when another node had passed them on.
#[tokio::test(start_paused = true)]
async fn calls_that_were_passed_on_and_ended_make_room_for_others() {
    let config = super::super::Config { calls_max: 4, ..Default::default() };
    let (one, other, third) = (node(1), start(2, 1, config), node(3));
    let _lanes = [Lane::open(&one, &other), Lane::open(&other, &third)];
    let (middle, last) = (listener().await, listener().await);
    let (near, beyond) = (seen(&middle, &other, &one), seen(&last, &third, &other));
    last.cast(Say::Work(PATIENCE * 10)).await.unwrap();
    for _ in 0..20 {
        let passed = near.call(|reply| Say::Pass(beyond.clone(), reply), SECOND).await;
        assert_eq!(passed, Err(CallError::Timeout));
        settle(&one, &other).await;
    }
    assert!(middle.is_alive(), "it could pass on all of them");
}

#[tokio::test(start_paused = true)]
async fn one_call_too_many_is_refused() {
    let config = super::super::Config { calls_max: 2, ..Default::default() };
    let (one, other) = (node(1), start(2, 1, config));
    let _lane = Lane::open(&one, &other);
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    let waiting = async { tokio::join!(far.call(Say::Keep, SECOND), far.call(Say::Keep, SECOND)) };
    let third = async {
        tokio::task::yield_now().await;
        far.call(Say::Answer, SECOND).await
    };
    let (waited, refused) = tokio::join!(waiting, third);
    assert_eq!(waited, (Err(CallError::Timeout), Err(CallError::Timeout)));
    assert_eq!(refused, Err(CallError::Full));
}

/// An earlier start of a node: its processes are gone for ever.
#[tokio::test]
async fn a_reference_to_an_earlier_start_never_reaches_the_next_one() {
    let (one, other, lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    assert_eq!(far.call(Say::Heard, SECOND).await, Ok(Vec::new()));
    lane.cut().await;
    let again = start(1, 2, super::super::Config::default());
    // The same number is known there, too.
    again.id_of(&listener).unwrap();
    let _lane = Lane::open(&again, &other);
    assert_eq!(far.call(Say::Heard, SECOND).await, Err(CallError::NoProc));
    assert_eq!(far.try_cast(Say::TrapExit), Err(CastError::NoProc));
    assert_eq!(far.ended().await, ExitReason::NoProc);
    assert!(!far.is_alive());
    let new = seen(&listener, &again, &other);
    assert_eq!(new.call(Say::Heard, SECOND).await, Ok(Vec::new()));
}

/// A reason that it died of is not how its end is known: the message was sent, and may have been obeyed.
#[tokio::test]
async fn a_callee_that_dies_of_noproc_or_noconnection_has_died() {
    let (one, other, _lane) = pair();
    for reason in [ExitReason::NoProc, ExitReason::NoConnection] {
        let target = listener().await;
        let far = seen(&target, &one, &other);
        for process in [&target, &far] {
            process.cast(Say::Work(SECOND)).await.unwrap();
        }
        let calls = async { tokio::join!(target.call(Say::Keep, PATIENCE), far.call(Say::Keep, PATIENCE)) };
        let end = async {
            settle(&one, &other).await;
            target.cast(Say::End(reason.clone())).await.unwrap();
        };
        let (answers, ()) = tokio::join!(calls, end);
        let died = Err(CallError::Died(reason));
        assert_eq!(answers, (died.clone(), died));

        // Afterwards nobody knows what it died of.
        let observer = listener().await;
        for process in [&target, &far] {
            observer.monitor(process, Say::Down).unwrap();
            assert_eq!(hears(&observer, 1).await, ["down noproc"]);
            assert_eq!(process.call(Say::Keep, PATIENCE).await, Err(CallError::NoProc));
        }
    }
}

/// An answer that cannot even be read.
#[derive(Debug, serde::Serialize)]
struct Broken;

impl<'de> serde::Deserialize<'de> for Broken {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("boom")
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Ask(crate::process::Reply<Broken>);

impl ractor::Message for Ask {}

impl Portable for Ask {
    const NAME: &'static str = "ask.1";
}

struct Answers;

impl ractor::Actor for Answers {
    type Msg = Ask;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<Ask>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<Ask>,
        Ask(reply): Ask,
        (): &mut (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        let _ = reply.send(Broken);
        Ok(())
    }
}

/// It runs in the task that reads from the link.
#[tokio::test]
async fn a_panic_while_an_answer_is_read_harms_only_its_caller() {
    let (one, other, _lane) = pair();
    let answers = crate::process::spawn(Answers, (), crate::process::Mailbox::default()).await.unwrap();
    let far = other.process::<Ask>(one.id_of(&answers).unwrap());
    assert_eq!(far.call(Ask, PATIENCE).await.unwrap_err(), CallError::NotPortable);
    settle(&one, &other).await;
}
