//! Names on one node.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use playhouse::process::{
    ChildSpec, ExitReason, Mailbox, Names, Process, RegisterError, Strategy, Supervisor,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::stage::{SECOND, Say, crash, heard, listener};

#[tokio::test(start_paused = true)]
async fn a_process_is_found_by_its_name() {
    let (names, process) = (Names::new(), listener().await);
    names.register("a", &process).unwrap();
    names.whereis("a").unwrap().cast(Say::Word("hello")).await.unwrap();
    assert_eq!(heard(&process).await, ["hello"]);
    assert_eq!(names.whereis::<Say>("b"), None);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_other_messages_is_not_found() {
    let (names, process) = (Names::new(), listener().await);
    names.register("a", &process).unwrap();
    assert!(names.whereis::<u64>("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn registering_a_name_twice_is_an_error_and_changes_nothing() {
    let (names, first, second) = (Names::new(), listener().await, listener().await);
    names.register("a", &first).unwrap();
    assert_eq!(names.register("a", &second), Err(RegisterError::Taken(first.id())));
    assert_eq!(names.register("a", &first), Err(RegisterError::Taken(first.id())));
    assert_eq!(names.whereis("a"), Some(first));
}

#[tokio::test(start_paused = true)]
async fn the_names_of_a_process_are_free_when_it_has_ended() {
    let (names, first, second) = (Names::new(), listener().await, listener().await);
    names.register("a", &first).unwrap();
    names.register("b", &first).unwrap();
    crash(&first).await;
    assert!(names.registered().is_empty());
    names.register("a", &second).unwrap();
    assert_eq!(names.whereis("a"), Some(second));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_ended_gets_no_name() {
    let (names, process) = (Names::new(), listener().await);
    crash(&process).await;
    assert_eq!(names.register("a", &process), Err(RegisterError::NoProc));
    assert!(names.registered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_taken_away() {
    let (names, first, second) = (Names::new(), listener().await, listener().await);
    names.register("a", &first).unwrap();
    assert!(names.unregister("a"));
    assert!(!names.unregister("a"));
    names.register("a", &second).unwrap();
    // The end of its former owner does not free it.
    crash(&first).await;
    assert_eq!(names.whereis("a"), Some(second));
}

#[tokio::test(start_paused = true)]
async fn tables_know_nothing_of_each_other() {
    let (one, other, process) = (Names::new(), Names::new(), listener().await);
    one.register("a", &process).unwrap();
    assert!(other.whereis::<Say>("a").is_none());
    other.register("a", &process).unwrap();
    assert_eq!(one.clone().registered().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded_in_number_and_length() {
    let (names, process) = (Names::with_max(32), listener().await);
    let refused = (0..1_000)
        .filter(|number| names.register(&number.to_string(), &process) == Err(RegisterError::TooMany));
    let refused = refused.count();
    assert_eq!(names.registered().len() + refused, 1_000);
    assert!(names.registered().len() <= 32);
    assert_eq!(names.register("", &process), Err(RegisterError::Length));
    assert_eq!(names.register(&"a".repeat(256), &process), Err(RegisterError::Length));
}

/// Registers itself when it starts.
struct Clerk;

impl Actor for Clerk {
    type Msg = Say;
    type State = ();
    type Arguments = Names;

    async fn pre_start(&self, myself: ActorRef<Say>, names: Names) -> Result<(), ActorProcessingErr> {
        names.register("clerk", &Process::of(&myself).unwrap())?;
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Say>, say: Say, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match say {
            Say::End(reason) => Err(reason.into()),
            Say::Wait(begun, _go) => {
                let _ = begun.send(());
                std::future::pending().await
            }
            _ => Ok(()),
        }
    }
}

/// However it ends: its name is free before the next one starts. On several threads, many times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_that_registers_itself_has_its_name_again_after_each_restart() {
    let names = Names::new();
    let table = names.clone();
    let clerk = ChildSpec::process("clerk", Mailbox::default(), move || (Clerk, table.clone()));
    // A start that found the name taken would be one restart too many.
    let rounds = 300;
    let supervisor = Supervisor::new(Strategy::OneForOne).intensity(rounds, 3600 * SECOND).child(clerk);
    let supervisor = supervisor.start().await.unwrap();
    for round in 0..rounds {
        let clerk: Process<Say> = supervisor.child("clerk").await.unwrap().reference().unwrap();
        assert_eq!(names.whereis("clerk"), Some(clerk.clone()));
        match round % 4 {
            0 => clerk.cast(Say::End(ExitReason::Killed)).await.unwrap(),
            1 => clerk.kill(),
            2 => {
                let ((begun, begins), (_go, goes)) =
                    (tokio::sync::oneshot::channel(), tokio::sync::oneshot::channel());
                clerk.cast(Say::Wait(begun, goes)).await.unwrap();
                begins.await.unwrap();
                clerk.kill();
            }
            _ => clerk.stop(ExitReason::Normal),
        }
        clerk.cell().unwrap().wait(Some(Duration::from_secs(60))).await.unwrap();
        // A request can arrive when the supervisor has just looked for ends; the next one finds them handled.
        supervisor.count_children().await.unwrap();
    }
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
}

/// Whoever hears of the end finds the name free, however early.
#[tokio::test(start_paused = true)]
async fn a_name_is_free_when_a_monitor_tells_of_the_end() {
    let (names, first, second, observer) =
        (Names::new(), listener().await, listener().await, listener().await);
    let found = Arc::new(Mutex::new(None));
    let (table, next, seen) = (names.clone(), second.clone(), Arc::clone(&found));
    // Before the name is given: notices come in the order in which they were asked for.
    observer
        .monitor(&first, move |down| {
            let before = (table.whereis::<Say>("a"), table.registered().len(), table.unregister("a"));
            *seen.lock().unwrap() = Some((before, table.register("a", &next)));
            Say::Down(down)
        })
        .unwrap();
    names.register("a", &first).unwrap();
    crash(&first).await;
    first.cell().unwrap().wait(None).await.unwrap();
    assert_eq!(*found.lock().unwrap(), Some(((None, 0, false), Ok(()))));
    assert_eq!(names.whereis("a"), Some(second), "and the end of the first one does not take it away");
    assert_eq!(heard(&observer).await, ["down boom"]);
}

/// The process ends on one thread, and another one waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_is_free_when_its_process_has_ended() {
    let names = Names::new();
    for _ in 0..300 {
        let (first, second) = (listener().await, listener().await);
        names.register("a", &first).unwrap();
        first.kill();
        first.ended().await;
        assert_eq!(names.whereis::<Say>("a"), None);
        names.register("a", &second).unwrap();
        assert!(names.unregister("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_although_a_monitor_panicked() {
    let (names, first, second, observer) =
        (Names::new(), listener().await, listener().await, listener().await);
    observer.monitor(&first, |_| -> Say { panic!("boom") }).unwrap();
    names.register("a", &first).unwrap();
    crash(&first).await;
    first.cell().unwrap().wait(None).await.unwrap();
    assert!(names.registered().is_empty());
    names.register("a", &second).unwrap();
}
