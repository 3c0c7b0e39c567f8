//! A monitor fires exactly once, with the reason.

use playhouse::process::{CallError, ExitReason, Policy, Process};

use crate::stage::{SECOND, Say, busy, crash, heard, listener, two, with_mailbox};

async fn pair() -> (Process<Say>, Process<Say>) {
    (listener().await, listener().await)
}

/// What an observer hears of a target that ends like this.
async fn told(end: impl AsyncFn(&Process<Say>)) -> Vec<String> {
    let (observer, target) = pair().await;
    observer.monitor(&target, Say::Down);
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
    let monitor = observer.monitor(&target, Say::Down);
    assert_eq!(heard(&observer).await, ["down noproc"]);
    assert!(!monitor.demonitor());
}

#[tokio::test(start_paused = true)]
async fn each_monitor_tells_for_itself() {
    let (observer, target) = pair().await;
    let first = observer.monitor(&target, Say::Down);
    let second = observer.monitor(&target, Say::Down);
    assert_ne!(first.id(), second.id());
    target.kill();
    target.ended().await;
    assert_eq!(heard(&observer).await, ["down killed", "down killed"]);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_was_ended_tells_nothing() {
    let (observer, target) = pair().await;
    let monitor = observer.monitor(&target, Say::Down);
    assert!(monitor.demonitor());
    assert!(!monitor.demonitor());
    crash(&target).await;
    assert!(heard(&observer).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_ended_too_late_leaves_its_message() {
    let (observer, target) = pair().await;
    let go = busy(&observer).await;
    let monitor = observer.monitor(&target, Say::Down);
    crash(&target).await;
    assert!(!monitor.demonitor());
    drop(go);
    assert_eq!(heard(&observer).await, ["down boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_takes_the_message_out_of_the_mailbox() {
    let (observer, target) = pair().await;
    let go = busy(&observer).await;
    let monitor = observer.monitor(&target, Say::Down);
    let other = observer.monitor(&target, Say::Down);
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
        observer.monitor(&target, Say::Down);
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
    observer.monitor(&target, Say::Down);
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
