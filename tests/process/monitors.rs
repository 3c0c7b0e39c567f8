//! A monitor fires exactly once, with the reason.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use playhouse::process::{CallError, Down, ExitReason, Mailbox, Monitor, MonitorError, Policy, Process};

use crate::stage::{SECOND, Say, boom, busy, crash, heard, listener, two, with_mailbox};

async fn pair() -> (Process<Say>, Process<Say>) {
    (listener().await, listener().await)
}

/// What an observer hears of a target that ends like this.
async fn told(end: impl AsyncFn(&Process<Say>)) -> Vec<String> {
    let (observer, target) = pair().await;
    observer.monitor(&target, Say::Down).unwrap();
    end(&target).await;
    target.ended().await;
    let told = heard(&observer).await;
    tokio::time::sleep(SECOND).await;
    assert!(heard(&observer).await.is_empty(), "it was told once");
    told
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_of_a_normal_end() {
    assert_eq!(told(async |target| target.stop(ExitReason::Normal)).await, ["down normal"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_of_a_drained_process() {
    assert_eq!(told(async |target| target.drain()).await, ["down normal"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_of_a_shutdown() {
    assert_eq!(told(async |target| target.stop(ExitReason::Shutdown)).await, ["down shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_the_message_of_a_panic() {
    assert_eq!(told(crash).await, ["down boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_tells_of_a_kill() {
    assert_eq!(told(async |target| target.kill()).await, ["down killed"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_of_a_process_that_had_ended_tells_noproc() {
    let (observer, target) = pair().await;
    crash(&target).await;
    let monitor = observer.monitor(&target, Say::Down).unwrap();
    assert_eq!(heard(&observer).await, ["down noproc"]);
    assert!(!monitor.demonitor());
}

#[tokio::test(start_paused = true)]
async fn each_monitor_tells_for_itself() {
    let (observer, target) = pair().await;
    let first = observer.monitor(&target, Say::Down).unwrap();
    let second = observer.monitor(&target, Say::Down).unwrap();
    assert_ne!(first.id(), second.id());
    target.kill();
    target.ended().await;
    assert_eq!(heard(&observer).await, ["down killed", "down killed"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_was_ended_tells_nothing() {
    let (observer, target) = pair().await;
    let monitor = observer.monitor(&target, Say::Down).unwrap();
    assert!(monitor.demonitor());
    assert!(!monitor.demonitor());
    crash(&target).await;
    assert!(heard(&observer).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_ended_too_late_leaves_its_message() {
    let (observer, target) = pair().await;
    let go = busy(&observer).await;
    let monitor = observer.monitor(&target, Say::Down).unwrap();
    crash(&target).await;
    assert!(!monitor.demonitor());
    drop(go);
    assert_eq!(heard(&observer).await, ["down boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_takes_the_message_out_of_the_mailbox() {
    let (observer, target) = pair().await;
    let go = busy(&observer).await;
    let monitor = observer.monitor(&target, Say::Down).unwrap();
    let other = observer.monitor(&target, Say::Down).unwrap();
    observer.cast(Say::Word("a")).await.unwrap();
    crash(&target).await;
    assert!(monitor.demonitor_flush());
    assert!(!monitor.demonitor_flush());
    assert_ne!(monitor.id(), other.id());
    drop(go);
    assert_eq!(heard(&observer).await, ["a", "down boom"]);
    assert!(!other.demonitor_flush());
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_does_not_lose_the_message_of_a_monitor() {
    for policy in [Policy::Wait, Policy::Refuse, Policy::DropOldest] {
        let (observer, target) = (with_mailbox(two(policy)).await, listener().await);
        let go = busy(&observer).await;
        observer.monitor(&target, Say::Down).unwrap();
        observer.cast(Say::Word("a")).await.unwrap();
        observer.cast(Say::Word("b")).await.unwrap();
        crash(&target).await;
        assert_eq!(observer.mailbox().messages, 2);
        // Its answer is behind all of that, and it needs room.
        let asked = async {
            loop {
                match observer.call(Say::Heard, SECOND).await {
                    Err(CallError::Full) => tokio::task::yield_now().await,
                    answer => return answer.unwrap(),
                }
            }
        };
        drop(go);
        let told = asked.await;
        assert!(told.contains(&"down boom".to_owned()), "{policy:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_does_not_keep_its_observer_alive() {
    let (observer, target) = pair().await;
    observer.monitor(&target, Say::Down).unwrap();
    observer.kill();
    observer.ended().await;
    drop(observer);
    crash(&target).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_can_wait_for_the_end_as_well() {
    let target = listener().await;
    let (ended, ()) = tokio::join!(target.ended(), async { target.kill() });
    assert_eq!(ended, ExitReason::Killed);
    assert!(!target.is_alive());
}

/// A server that lives for ever would remember each short-lived client that ever looked at it.
#[tokio::test(start_paused = true)]
async fn a_monitor_goes_with_its_observer() {
    let (observer, target) = pair().await;
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    observer
        .monitor(&target, move |down| {
            drop(held);
            Say::Down(down)
        })
        .unwrap();
    observer.kill();
    observer.cell().unwrap().wait(None).await.unwrap();
    assert_eq!(Arc::strong_count(&kept), 1, "the target keeps what nobody will hear");
    assert!(target.is_alive());
}

/// In OTP it would crash in its own `handle_info`; nobody else hears less because of that.
#[tokio::test(start_paused = true)]
async fn a_monitor_whose_message_panics_ends_its_observer_and_nobody_else() {
    let (observer, target) = pair().await;
    let (other, linked) = pair().await;
    observer.monitor(&target, |_| -> Say { panic!("boom") }).unwrap();
    other.monitor(&target, Say::Down).unwrap();
    target.link(&linked);
    target.kill();
    assert_eq!(observer.ended().await, boom());
    assert_eq!(linked.ended().await, ExitReason::Killed);
    assert_eq!(heard(&other).await, ["down killed"]);
}

/// Ends a monitor in the moment between the end of its target and its message.
async fn ended_while_the_target_dies(end: fn(&Monitor) -> bool) {
    let (observer, target) = pair().await;
    let monitor: Arc<OnceLock<Monitor>> = Arc::default();
    let ended = Arc::new(AtomicBool::new(false));
    let (late, said) = (Arc::clone(&monitor), Arc::clone(&ended));
    // Notices are given in the order in which they were asked for.
    observer
        .monitor(&target, move |down| {
            said.store(end(late.get().unwrap()), SeqCst);
            Say::Down(down)
        })
        .unwrap();
    monitor.set(observer.monitor(&target, Say::Down).unwrap()).unwrap();
    crash(&target).await;
    target.cell().unwrap().wait(None).await.unwrap();
    assert!(ended.load(SeqCst), "its message was not sent");
    assert_eq!(heard(&observer).await, ["down boom"], "only the first one told");
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_ended_while_its_target_dies_tells_nothing() {
    ended_while_the_target_dies(Monitor::demonitor).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_while_the_target_dies_is_final() {
    ended_while_the_target_dies(Monitor::demonitor_flush).await;
}

/// Its message is being made at that moment.
#[tokio::test(start_paused = true)]
async fn a_monitor_can_be_ended_by_the_making_of_its_own_message() {
    let (observer, target) = pair().await;
    let monitor: Arc<OnceLock<Monitor>> = Arc::default();
    let late = Arc::clone(&monitor);
    let message = move |down: Down| {
        assert!(late.get().unwrap().demonitor_flush());
        Say::Down(down)
    };
    monitor.set(observer.monitor(&target, message).unwrap()).unwrap();
    crash(&target).await;
    target.cell().unwrap().wait(None).await.unwrap();
    assert!(heard(&observer).await.is_empty());
}

/// Their messages are not counted as such, so they are counted here: until they are ended, or their message is handled.
#[tokio::test(start_paused = true)]
async fn monitors_are_bounded_until_their_messages_are_handled() {
    let (observer, target) = (with_mailbox(Mailbox::default().monitors_max(2)).await, listener().await);
    let monitor = |target| observer.monitor(target, Say::Down);
    let refused = |target| monitor(target).is_err_and(|error| error == MonitorError::TooMany);
    let ended = monitor(&target).unwrap();
    monitor(&target).unwrap();
    assert!(refused(&target));
    assert!(ended.demonitor());

    let go = busy(&observer).await;
    crash(&target).await;
    // It had ended, so this tells at once; both messages wait.
    let flushed = monitor(&target).unwrap();
    assert!(refused(&target));
    assert!(flushed.demonitor_flush());
    monitor(&target).unwrap();
    assert!(refused(&target));
    drop(go);
    assert_eq!(heard(&observer).await, ["down boom", "down noproc"]);
    monitor(&target).unwrap();
    monitor(&target).unwrap();
}
