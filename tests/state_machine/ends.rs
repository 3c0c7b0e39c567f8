//! How a machine ends, and what others hear of it.

use std::time::Duration;

use playhouse::process::{
    CallError, ChildSpec, ExitReason, Machine, Mailbox, Process, Step, Strategy, Supervisor,
};
use playhouse_cluster::environment::spawn_here;
use ractor::Actor;

use crate::stage::{Input, Player, SECOND, Scene, State, act, machine, named, note, settled};

#[tokio::test(start_paused = true)]
async fn a_step_that_stops_answers_says_last_words_and_gives_its_reason() {
    for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Crashed("no more".to_owned())] {
        let (machine, scene) = machine().await;
        act(&machine, || Step::to(State::B)).await;
        scene.heard();
        let stops = reason.clone();
        let last = |reply| Input::Do("", Box::new(move || Step::stop(stops).reply(reply, "bye")));
        assert_eq!(machine.call(last, SECOND).await, Ok("bye"));
        assert_eq!(machine.ended().await, reason);
        assert_eq!(scene.heard(), ["last words in B"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_asked_to_stop_or_drains_says_last_words() {
    for drains in [false, true] {
        let (machine, scene) = machine().await;
        if drains {
            note(&machine, "Before").await;
            machine.drain();
            assert_eq!(machine.ended().await, ExitReason::Normal);
            assert_eq!(scene.heard(), ["Before in A", "last words in A"]);
        } else {
            machine.stop(ExitReason::Shutdown);
            assert_eq!(machine.ended().await, ExitReason::Shutdown);
            assert_eq!(scene.heard(), ["last words in A"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_crashes_says_nothing_and_is_crashed() {
    let crashes = [Input::Crash, Input::Fail(ExitReason::Crashed("boom".to_owned()))];
    for crash in crashes {
        let (machine, scene) = machine().await;
        machine.cast(crash).await.unwrap();
        assert_eq!(machine.ended().await, ExitReason::Crashed("boom".to_owned()));
        assert_eq!(scene.heard(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_postponed_ends_with_the_machine() {
    let (machine, _) = machine().await;
    let caller = spawn_here({
        let machine = machine.clone();
        async move { machine.call(|reply| Input::Ask("ask", reply), 60 * SECOND).await }
    });
    settled(&machine).await;
    machine.cast(Input::Crash).await.unwrap();
    let died = CallError::Died(ExitReason::Crashed("boom".to_owned()));
    assert_eq!(caller.await.unwrap(), Err(died));
}

#[tokio::test(start_paused = true)]
async fn a_machine_below_a_supervisor_begins_again_in_its_first_state() {
    let scene = Scene::default();
    let spec = ChildSpec::process("machine", Mailbox::default(), {
        let scene = scene.clone();
        move || (Machine(Player), (scene.clone(), Box::new(|entry| entry) as _))
    });
    let supervisor = Supervisor::new(Strategy::OneForOne).child(spec).start().await.unwrap();
    let first: Process<Input> = supervisor.child("machine").await.unwrap().reference().unwrap();
    act(&first, || Step::to(State::B).timeout("late ", SECOND, Input::Note("Never"))).await;
    first.cast(Input::Crash).await.unwrap();
    first.ended().await;
    supervisor.count_children().await.unwrap();
    let second: Process<Input> = supervisor.child("machine").await.unwrap().reference().unwrap();
    settled(&second).await;
    tokio::time::sleep(2 * SECOND).await;
    assert_ne!(first, second);
    let heard = ["enter A from None", "enter B from Some(A)", "enter A from None"];
    assert_eq!(scene.heard(), heard, "timeouts go with their machine");
    supervisor.stop_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_on_inserting_events_can_be_killed() {
    fn again() -> Step<State, Input> {
        Step::keep().next_event(Input::Do("", Box::new(again)))
    }
    let (machine, _) = machine().await;
    named(&machine, "", again).await;
    // It never waits for anything, so this task runs when its budget is spent.
    tokio::task::yield_now().await;
    machine.kill();
    assert_eq!(machine.ended().await, ExitReason::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_mailbox_does_not_start() {
    let arguments = (Scene::default(), Box::new(|entry| entry) as _);
    let started = Actor::spawn(None, Machine(Player), arguments).await;
    assert!(started.is_err_and(|error| error.to_string().contains("mailbox")));
}

/// Timers hold their process until they are over, not longer.
#[tokio::test(start_paused = true)]
async fn a_machine_that_ended_is_forgotten_with_its_timeouts() {
    let (machine, scene) = machine().await;
    act(&machine, || Step::keep().timeout("long", Duration::from_secs(1 << 20), Input::Note("Never"))).await;
    machine.stop(ExitReason::Shutdown);
    machine.ended().await;
    drop(machine);
    // The last handle of the journal besides this one went with the machine.
    while std::sync::Arc::strong_count(&scene.journal) > 1 {
        tokio::task::yield_now().await;
    }
}
