//! States: how they are entered, and what a change of state is.

use playhouse::process::{ExitReason, Step};

use crate::stage::{Input, SECOND, State, act, machine, machine_with, note, settled};

#[tokio::test(start_paused = true)]
async fn the_first_state_is_entered_before_any_event() {
    let (machine, scene) = machine_with(|entry| entry.next_event(Input::Note("First"))).await;
    settled(&machine).await;
    assert_eq!(scene.heard(), ["enter A from None", "internal First in A"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_is_entered_before_any_event_that_waits() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    act(&machine, || Step::to(State::B).next_event(Input::Note("Inserted"))).await;
    let heard = ["a postponed", "enter B from Some(A)", "internal Inserted in B", "a in B"];
    assert_eq!(scene.heard(), heard);
}

#[tokio::test(start_paused = true)]
async fn a_step_to_the_same_state_is_no_change_of_state() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    act(&machine, || Step::to(State::A)).await;
    assert_eq!(scene.heard(), ["a postponed"], "nothing is entered, and what was postponed does not come");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_state_is_entered_again_and_is_no_change_of_state() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    act(&machine, || Step::repeat().state_timeout(SECOND, Input::Note("Late"))).await;
    assert_eq!(scene.heard(), ["a postponed", "enter A from Some(A)"]);
    act(&machine, Step::repeat).await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["enter A from Some(A)", "state timeout Late in A"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_before_the_next_state_is_entered() {
    let (machine, scene) = machine().await;
    let fatal = |reply| Input::Do("", Box::new(move || Step::to(State::Broken).reply(reply, 7)));
    assert_eq!(machine.call(fatal, SECOND).await, Ok(7));
    assert_eq!(machine.ended().await, ExitReason::Crashed("broken".to_owned()));
    assert_eq!(scene.heard(), ["enter Broken from Some(A)"]);
}

#[tokio::test(start_paused = true)]
async fn entering_a_state_may_set_its_timeout() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::to(State::Timed).state_timeout(3 * SECOND, Input::Note("Never"))).await;
    tokio::time::sleep(4 * SECOND).await;
    let heard = ["enter Timed from Some(A)", "state timeout Late in Timed"];
    assert_eq!(scene.heard(), heard, "what the entry says comes after the step, and replaces it");
}
