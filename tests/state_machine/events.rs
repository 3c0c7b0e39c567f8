//! Events: which comes next, which come again, and how many are kept.

use playhouse::process::{CallError, ExitReason, Step};
use playhouse_cluster::environment::spawn_here;

use crate::stage::{Input, SECOND, State, act, machine, machine_with, named, note, other_ends, settled};

#[tokio::test(start_paused = true)]
async fn postponed_events_come_again_when_the_state_changes_the_oldest_first() {
    let (machine, scene) = machine().await;
    for name in ["a", "b", "c"] {
        note(&machine, name).await;
    }
    act(&machine, Step::keep).await;
    assert_eq!(scene.heard(), ["a postponed", "b postponed", "c postponed"]);
    act(&machine, || Step::to(State::B)).await;
    assert_eq!(scene.heard(), ["enter B from Some(A)", "a in B", "b in B", "c in B"]);
    act(&machine, || Step::to(State::A)).await;
    assert_eq!(scene.heard(), ["enter A from Some(B)"], "they came once");
}

#[tokio::test(start_paused = true)]
async fn postponed_events_come_before_messages_that_were_sent_since() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    named(&machine, "", || Step::to(State::B)).await;
    note(&machine, "sent").await;
    settled(&machine).await;
    assert_eq!(scene.heard(), ["a postponed", "enter B from Some(A)", "a in B", "sent in B"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_postponed_again_keeps_its_place() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    note(&machine, "b").await;
    // The first event of the next state goes back at once: what was retried is postponed again.
    let back = || Input::Do("back", Box::new(|| Step::to(State::A)));
    act(&machine, move || Step::to(State::B).next_event(back())).await;
    scene.heard();
    act(&machine, || Step::to(State::B)).await;
    assert_eq!(scene.heard(), ["enter B from Some(A)", "a in B", "b in B"]);
}

#[tokio::test(start_paused = true)]
async fn the_step_that_changes_the_state_may_postpone_its_own_event() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    let postponed = || playhouse::process::Event::Message(Input::Note("own"));
    act(&machine, move || Step::to(State::B).postpone(postponed())).await;
    assert_eq!(scene.heard(), ["a postponed", "enter B from Some(A)", "a in B", "own in B"]);
}

#[tokio::test(start_paused = true)]
async fn inserted_events_come_before_all_others_in_their_order() {
    let (machine, scene) = machine().await;
    note(&machine, "a").await;
    named(&machine, "", || Step::to(State::B).next_event(Input::Note("One")).next_event(Input::Note("Two")))
        .await;
    note(&machine, "Sent").await;
    settled(&machine).await;
    let heard = scene.heard();
    let order = [
        "a postponed",
        "enter B from Some(A)",
        "internal One in B",
        "internal Two in B",
        "a in B",
        "Sent in B",
    ];
    assert_eq!(heard, order);
}

#[tokio::test(start_paused = true)]
async fn an_inserted_event_may_insert_more_which_come_next() {
    let (machine, scene) = machine().await;
    act(&machine, || {
        let inner = || Step::keep().next_event(Input::Note("Inner"));
        Step::keep().next_event(Input::Do("Outer", Box::new(inner))).next_event(Input::Note("Last"))
    })
    .await;
    assert_eq!(scene.heard(), ["internal Outer in A", "internal Inner in A", "internal Last in A"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_answered_in_another_state() {
    let (machine, scene) = machine().await;
    let caller = spawn_here({
        let machine = machine.clone();
        async move { machine.call(|reply| Input::Ask("ask", reply), SECOND).await }
    });
    settled(&machine).await;
    assert_eq!(scene.heard(), ["ask postponed"]);
    act(&machine, || Step::to(State::B)).await;
    assert_eq!(caller.await.unwrap(), Ok("ask in B".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_postponed_fails_at_its_deadline() {
    let (machine, _) = machine().await;
    let asked = machine.call(|reply| Input::Ask("ask", reply), SECOND).await;
    assert_eq!(asked, Err(CallError::Timeout));
}

/// Three may be postponed.
#[tokio::test(start_paused = true)]
async fn an_event_too_many_to_be_postponed_fails_its_caller_and_is_counted() {
    let (machine, scene) = machine().await;
    for name in ["a", "b", "c"] {
        note(&machine, name).await;
    }
    let asked = machine.call(|reply| Input::Ask("ask", reply), 60 * SECOND);
    assert_eq!(asked.await, Err(CallError::NoReply));
    assert_eq!(machine.mailbox().refused, 1);
    scene.heard();
    act(&machine, || Step::to(State::B)).await;
    assert_eq!(scene.heard(), ["enter B from Some(A)", "a in B", "b in B", "c in B"]);
    note(&machine, "fits").await;
    settled(&machine).await;
    assert_eq!(scene.heard(), ["fits in B"]);
    assert_eq!(machine.mailbox().refused, 1, "there is room again");
}

/// Six may wait.
#[tokio::test(start_paused = true)]
async fn events_too_many_to_be_inserted_are_counted() {
    let (machine, scene) = machine().await;
    act(&machine, || (0..7).fold(Step::keep(), |step, _| step.next_event(Input::Note("Inserted")))).await;
    assert_eq!(scene.heard(), ["internal Inserted in A"; 6]);
    assert_eq!(machine.mailbox().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn events_may_be_inserted_at_the_start() {
    let (machine, scene) = machine_with(|entry| {
        entry.next_event(Input::Do("Begin", Box::new(|| Step::to(State::B)))).next_event(Input::Note("Next"))
    })
    .await;
    settled(&machine).await;
    let heard = ["enter A from None", "internal Begin in A", "enter B from Some(A)", "internal Next in B"];
    assert_eq!(scene.heard(), heard);
}

#[tokio::test(start_paused = true)]
async fn the_notice_of_a_monitor_is_a_message() {
    let (machine, scene) = machine().await;
    other_ends(&machine, ExitReason::Shutdown).await;
    assert_eq!(scene.heard(), ["down shutdown in A"]);
}
