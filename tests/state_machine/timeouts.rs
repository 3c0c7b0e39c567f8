//! Timeouts: of a state, of an event, and by name.

use playhouse::process::{Mailbox, Policy, Step, TimerError};
use tokio::time::sleep;

use crate::stage::{Input, SECOND, Scene, State, act, machine, machine_with, named, note, settled, start};

#[tokio::test(start_paused = true)]
async fn a_state_timeout_comes_when_the_state_lasts_so_long() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::to(State::B).state_timeout(SECOND, Input::Note("Late"))).await;
    scene.heard();
    sleep(SECOND / 2).await;
    note(&machine, "Event").await;
    sleep(SECOND).await;
    assert_eq!(scene.heard(), ["Event in B", "state timeout Late in B"], "an event does not cancel it");
    sleep(SECOND * 10).await;
    assert_eq!(scene.heard(), [""; 0], "it comes once");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_state_cancels_the_state_timeout() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::keep().state_timeout(SECOND, Input::Note("Late"))).await;
    act(&machine, || Step::to(State::B)).await;
    act(&machine, || Step::to(State::A)).await;
    scene.heard();
    sleep(10 * SECOND).await;
    assert_eq!(scene.heard(), [""; 0], "also if the machine comes back to that state");
}

#[tokio::test(start_paused = true)]
async fn a_state_timeout_that_is_set_again_begins_anew_and_may_be_cancelled() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::keep().state_timeout(SECOND, Input::Note("Early"))).await;
    act(&machine, || Step::keep().state_timeout(2 * SECOND, Input::Note("Late"))).await;
    sleep(3 * SECOND).await;
    assert_eq!(scene.heard(), ["state timeout Late in A"]);
    act(&machine, || Step::keep().state_timeout(SECOND, Input::Note("Never"))).await;
    act(&machine, || Step::keep().cancel_state_timeout()).await;
    sleep(3 * SECOND).await;
    assert_eq!(scene.heard(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_event_timeout_comes_when_nothing_else_does() {
    let (machine, scene) = machine().await;
    named(&machine, "", || Step::keep().event_timeout(SECOND, Input::Note("Quiet"))).await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["event timeout Quiet in A"]);
}

#[tokio::test(start_paused = true)]
async fn any_event_cancels_the_event_timeout() {
    let (machine, scene) = machine().await;
    let quiet = || Step::keep().event_timeout(SECOND, Input::Note("Quiet"));
    named(&machine, "", quiet).await;
    note(&machine, "Message").await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["Message in A"]);
    named(&machine, "", move || quiet().next_event(Input::Note("Inserted"))).await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["internal Inserted in A"]);
    named(&machine, "", move || quiet().timeout("other ", SECOND / 2, Input::Note("Timeout"))).await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["other Timeout in A"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_state_does_not_cancel_the_event_timeout_that_comes_with_it() {
    let (machine, scene) = machine().await;
    named(&machine, "", || Step::to(State::B).event_timeout(SECOND, Input::Note("Quiet"))).await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.heard(), ["enter B from Some(A)", "event timeout Quiet in B"]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_with_a_name_survives_events_and_changes_of_state() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::keep().timeout("tea ", 2 * SECOND, Input::Note("Ready"))).await;
    act(&machine, || Step::to(State::B).timeout("egg ", SECOND, Input::Note("Boiled"))).await;
    scene.heard();
    sleep(3 * SECOND).await;
    assert_eq!(scene.heard(), ["egg Boiled in B", "tea Ready in B"], "each name has its own");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_with_a_name_is_replaced_and_cancelled_by_its_name() {
    let (machine, scene) = machine().await;
    act(&machine, || {
        let step = Step::keep().timeout("tea ", SECOND, Input::Note("Early"));
        step.timeout("tea ", 2 * SECOND, Input::Note("Late")).timeout("egg ", SECOND, Input::Note("Never"))
    })
    .await;
    act(&machine, || Step::keep().cancel_timeout("egg ").cancel_timeout("unknown")).await;
    sleep(3 * SECOND).await;
    assert_eq!(scene.heard(), ["tea Late in A"]);
}

/// It rings while a state is entered, and waits in the mailbox behind the message that cancels it.
#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_cancelled_does_not_come_even_if_it_was_over() {
    let (machine, scene) = machine().await;
    act(&machine, || {
        Step::keep().timeout("a ", SECOND, Input::Note("Never")).timeout("b ", SECOND, Input::Note("Comes"))
    })
    .await;
    named(&machine, "", || Step::to(State::Slow)).await;
    named(&machine, "", || Step::keep().cancel_timeout("a ")).await;
    sleep(5 * SECOND).await;
    assert_eq!(scene.heard(), ["enter Slow from Some(A)", "b Comes in Slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_timeout_does_not_come_in_the_next_state_even_if_it_was_over() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::to(State::Timed)).await;
    named(&machine, "", || Step::to(State::Slow)).await;
    sleep(5 * SECOND).await;
    assert_eq!(scene.heard(), ["enter Timed from Some(A)", "enter Slow from Some(Timed)"]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_without_time_comes_after_what_waits_and_before_what_is_sent() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    named(&machine, "", || {
        let step = Step::to(State::B).timeout("now ", std::time::Duration::ZERO, Input::Note("Timeout"));
        step.next_event(Input::Note("Inserted"))
    })
    .await;
    note(&machine, "Sent").await;
    settled(&machine).await;
    let order = [
        "a postponed",
        "enter B from Some(A)",
        "internal Inserted in B",
        "a in B",
        "now Timeout in B",
        "Sent in B",
    ];
    assert_eq!(scene.heard(), order);
}

#[tokio::test(start_paused = true)]
async fn an_event_timeout_without_time_comes_only_if_nothing_waits() {
    let (machine, scene) = machine().await;
    let at_once = || Step::keep().event_timeout(std::time::Duration::ZERO, Input::Note("Quiet"));
    named(&machine, "", at_once).await;
    note(&machine, "Sent").await;
    settled(&machine).await;
    assert_eq!(scene.heard(), ["event timeout Quiet in A", "Sent in A"]);
    named(&machine, "", move || at_once().next_event(Input::Note("Inserted"))).await;
    settled(&machine).await;
    assert_eq!(scene.heard(), ["internal Inserted in A"]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_set_at_the_start() {
    let (_machine, scene) = machine_with(|entry| {
        let entry =
            entry.state_timeout(SECOND, Input::Note("State")).event_timeout(SECOND / 2, Input::Note("Event"));
        entry.timeout("name ", 2 * SECOND, Input::Note("Name"))
    })
    .await;
    sleep(3 * SECOND).await;
    let heard =
        ["enter A from None", "event timeout Event in A", "state timeout State in A", "name Name in A"];
    assert_eq!(scene.heard(), heard);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_finds_room_in_a_mailbox_that_is_full() {
    let scene = Scene::default();
    let mailbox = Mailbox::new(Policy::Refuse).messages_max(1);
    let machine =
        start(&scene, Box::new(|entry| entry.timeout("tea ", SECOND, Input::Note("Ready"))), mailbox).await;
    settled(&machine).await;
    named(&machine, "", || Step::to(State::Slow)).await;
    sleep(SECOND / 2).await;
    note(&machine, "Last").await;
    sleep(5 * SECOND).await;
    let heard = ["enter A from None", "enter Slow from Some(A)", "Last in Slow", "tea Ready in Slow"];
    assert_eq!(scene.heard(), heard);
    assert_eq!(machine.mailbox().refused, 0);
}

/// Timers bound what others may ask of a process. A timeout that was not set would leave its machine in a state for ever.
#[tokio::test(start_paused = true)]
async fn timeouts_do_not_count_as_timers() {
    let scene = Scene::default();
    let mailbox = Mailbox::new(Policy::Refuse).timers_max(1);
    let machine = start(&scene, Box::new(|entry| entry), mailbox).await;
    let timer = machine.send_after(9 * SECOND, Input::Note("Timer")).unwrap();
    act(&machine, || Step::keep().timeout("a", SECOND, Input::Note("A"))).await;
    act(&machine, || Step::keep().timeout("b", 2 * SECOND, Input::Note("B"))).await;
    assert_eq!(machine.send_after(SECOND, Input::Note("Late")).err(), Some(TimerError::TooMany));
    scene.heard();
    sleep(3 * SECOND).await;
    assert_eq!(scene.heard(), ["aA in A", "bB in A"]);
    assert!(timer.cancel());
}
