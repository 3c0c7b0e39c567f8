//! Ends that happen while somebody asks: on several threads, many times.

use playhouse::process::{CallError, CastError, ExitReason, Process};
use playhouse_cluster::environment::spawn_here;

use crate::stage::{SECOND, Say, boom, busy, heard, listener};

const ROUNDS: usize = 300;

/// Runs it on another thread at the same time as the rest.
fn meanwhile(
    process: &Process<Say>,
    end: impl FnOnce(Process<Say>) + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let process = process.clone();
    spawn_here(async move { end(process) })
}

/// Waits until the last one to be told of an end was told.
async fn until_told(last: &Process<Say>) {
    while heard(last).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_monitor_of_a_process_that_is_ending_now_tells_exactly_once() {
    for _ in 0..ROUNDS {
        let (observer, target) = (listener().await, listener().await);
        let end = meanwhile(&target, |target| target.kill());
        let monitor = observer.monitor(&target, Say::Down).unwrap();
        end.await.unwrap();
        target.ended().await;
        let told = [&["down killed".to_owned()], &["down noproc".to_owned()]];
        let first = loop {
            let heard = heard(&observer).await;
            if !heard.is_empty() {
                break heard;
            }
        };
        assert!(told.contains(&first.as_slice().try_into().unwrap()), "{first:?}");
        assert!(!monitor.demonitor_flush());
        assert!(heard(&observer).await.is_empty());
    }
}

/// Either the message is never sent, or it is: never both, never neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_monitor_that_is_ended_while_it_tells_agrees_with_what_is_told() {
    for _ in 0..ROUNDS {
        let (observer, target) = (listener().await, listener().await);
        let monitor = observer.monitor(&target, Say::Down).unwrap();
        let end = meanwhile(&target, |target| target.kill());
        let silent = monitor.demonitor();
        end.await.unwrap();
        target.ended().await;
        if silent {
            assert!(heard(&observer).await.is_empty());
        } else {
            while heard(&observer).await.is_empty() {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_to_a_process_that_is_ending_now_never_hangs() {
    for _ in 0..ROUNDS {
        let target = listener().await;
        let end = meanwhile(&target, |target| target.kill());
        let answer = target.call(Say::Keep, 60 * SECOND).await.unwrap_err();
        let expected = [CallError::NoProc, CallError::Died(ExitReason::Killed)];
        assert!(expected.contains(&answer), "{answer:?}");
        end.await.unwrap();
    }
}

/// Whoever has heard that a process has ended is told `noproc` by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_after_the_end_is_noproc() {
    for _ in 0..ROUNDS {
        let target = listener().await;
        let end = meanwhile(&target, |target| target.kill());
        target.ended().await;
        assert_eq!(target.call(Say::Heard, 60 * SECOND).await, Err(CallError::NoProc));
        end.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_to_a_process_that_panics_all_end_with_its_message_or_noproc() {
    for _ in 0..ROUNDS {
        let target = listener().await;
        let calls = (0..4).map(|_| {
            let target = target.clone();
            spawn_here(async move { target.call(Say::Crash, 60 * SECOND).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let answer = call.await.unwrap().unwrap_err();
            assert!([CallError::NoProc, CallError::Died(boom())].contains(&answer), "{answer:?}");
        }
    }
}

/// A message is handled, or its sender is told, or it is a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_to_a_process_that_drains_is_lost_in_silence() {
    for _ in 0..ROUNDS {
        let target = listener().await;
        let end = meanwhile(&target, |target| target.drain());
        let mut calls = Vec::new();
        for _ in 0..4 {
            let target = target.clone();
            calls.push(spawn_here(async move { target.call(Say::Heard, 60 * SECOND).await }));
        }
        end.await.unwrap();
        for call in calls {
            match call.await.unwrap() {
                Ok(heard) => assert!(heard.is_empty()),
                Err(error) => {
                    let expected = [CallError::NoProc, CallError::Died(ExitReason::Normal)];
                    assert!(expected.contains(&error), "{error:?}");
                }
            }
        }
        assert_eq!(target.ended().await, ExitReason::Normal);
        assert_eq!(target.cast(Say::Word("late")).await, Err(CastError::NoProc));
        assert_eq!(target.mailbox().messages, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_linked_processes_that_are_killed_at_once_none_stays() {
    for _ in 0..ROUNDS {
        let (one, other) = (listener().await, listener().await);
        let end = meanwhile(&one, |one| one.kill());
        one.link(&other);
        end.await.unwrap();
        one.ended().await;
        let reason = other.ended().await;
        assert!([ExitReason::Killed, ExitReason::NoProc].contains(&reason), "{reason}");
    }
}

/// However early or late it is: afterwards, nothing comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flush_of_a_monitor_of_a_process_that_is_ending_now_is_final() {
    for _ in 0..ROUNDS {
        let (observer, target) = (listener().await, listener().await);
        let go = busy(&observer).await;
        let last = listener().await;
        let monitor = observer.monitor(&target, Say::Down).unwrap();
        last.monitor(&target, Say::Down).unwrap();
        let end = meanwhile(&target, |target| target.kill());
        assert!(monitor.demonitor_flush());
        end.await.unwrap();
        until_told(&last).await;
        drop(go);
        assert!(heard(&observer).await.is_empty());
    }
}

/// Whatever the steps of the two are between each other: one signal, and no second one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_to_a_process_that_is_ending_now_is_one_signal() {
    for _ in 0..ROUNDS {
        let (traps, target) = (listener().await, listener().await);
        // Links are told in the order of their processes.
        let last = listener().await;
        for process in [&traps, &last] {
            process.trap_exit(Say::Exit);
        }
        last.link(&target);
        let end = meanwhile(&target, |target| target.kill());
        traps.link(&target);
        end.await.unwrap();
        until_told(&last).await;
        let told = heard(&traps).await;
        assert!(told == ["exit killed"] || told == ["exit noproc"], "{told:?}");
    }
}
