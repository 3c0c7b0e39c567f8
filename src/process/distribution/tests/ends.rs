//! Monitors and links between nodes: told once, with the reason.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use playhouse_cluster::{environment::spawn_here, peering::PushError};

use super::{super::wire::Wire, stage::*};
use crate::process::{ExitReason, Process};

async fn watched()
-> (Process<Say>, super::super::Distribution, super::super::Distribution, Lane, Process<Say>) {
    let (one, other, lane) = pair();
    let target = listener().await;
    let far = seen(&target, &one, &other);
    (target, one, other, lane, far)
}

#[tokio::test]
async fn a_monitor_says_why_a_process_of_another_node_ended() {
    let reasons = [
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::ShutdownWith("moved".to_owned()),
        ExitReason::Crashed("no disk".to_owned()),
    ];
    for reason in reasons {
        let (target, one, other, _lane, far) = watched().await;
        let observer = listener().await;
        let monitor = observer.monitor(&far, Say::Down).unwrap();
        settle(&one, &other).await;
        assert_eq!(heard(&observer).await, Vec::<String>::new(), "it lives");
        target.cast(Say::End(reason.clone())).await.unwrap();
        assert_eq!(hears(&observer, 1).await, [format!("down {reason}")]);
        settle(&one, &other).await;
        assert!(!monitor.demonitor(), "it has told already");
        // Once more: it is gone.
        observer.monitor(&far, Say::Down).unwrap();
        assert_eq!(hears(&observer, 1).await, ["down noproc"]);
        settle(&one, &other).await;
        assert_eq!(heard(&observer).await, Vec::<String>::new(), "each told once");
    }
}

#[tokio::test]
async fn a_monitor_tells_of_a_panic_and_of_a_kill() {
    let (_target, _one, _other, _lane, far) = watched().await;
    let observer = listener().await;
    observer.monitor(&far, Say::Down).unwrap();
    let _ = far.call(Say::Crash, PATIENCE).await;
    assert_eq!(hears(&observer, 1).await, ["down boom"]);

    let (_target, _one, _other, _lane, far) = watched().await;
    observer.monitor(&far, Say::Down).unwrap();
    far.kill();
    assert_eq!(hears(&observer, 1).await, ["down killed"]);
}

#[tokio::test]
async fn the_end_of_a_lane_is_told_once_and_what_comes_later_is_not() {
    let (target, one, other, lane, far) = watched().await;
    let observer = listener().await;
    observer.monitor(&far, Say::Down).unwrap();
    settle(&one, &other).await;
    lane.cut().await;
    assert_eq!(hears(&observer, 1).await, ["down noconnection"]);
    observer.monitor(&far, Say::Down).unwrap();
    assert_eq!(hears(&observer, 1).await, ["down noconnection"], "at once while there is no lane");

    let _lane = Lane::open(&one, &other);
    observer.monitor(&far, Say::Down).unwrap();
    settle(&one, &other).await;
    assert_eq!(heard(&observer).await, Vec::<String>::new(), "it runs on, and is watched again");
    target.stop(ExitReason::Shutdown);
    assert_eq!(hears(&observer, 1).await, ["down shutdown"]);
}

#[tokio::test]
async fn a_new_start_of_the_node_is_the_end_of_the_old_processes() {
    let (_target, _one, other, _lane, far) = watched().await;
    let observer = listener().await;
    observer.monitor(&far, Say::Down).unwrap();
    // Nobody has noticed yet that the old one is gone.
    let again = start(1, 2, super::super::Config::default());
    let _lane = Lane::open(&again, &other);
    assert_eq!(hears(&observer, 1).await, ["down noconnection"]);
    observer.monitor(&far, Say::Down).unwrap();
    assert_eq!(hears(&observer, 1).await, ["down noproc"]);
    settle(&again, &other).await;
    assert_eq!(heard(&observer).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_monitor_that_was_taken_back_says_nothing() {
    let (target, one, other, lane, far) = watched().await;
    let observer = listener().await;
    let monitor = observer.monitor(&far, Say::Down).unwrap();
    settle(&one, &other).await;
    assert!(monitor.demonitor());
    target.stop(ExitReason::Normal);
    target.ended().await;
    settle(&one, &other).await;
    lane.cut().await;
    assert_eq!(heard(&observer).await, Vec::<String>::new());
}

/// Ends, cuts and monitors that are taken back meet each other on several threads; each monitor tells once, or was taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_monitor_tells_exactly_once_whatever_meets() {
    const MONITORS: usize = 20;
    for round in 0..150 {
        let (target, one, other, lane, far) = watched().await;
        let observer = listener().await;
        let cutter = spawn_here(async move {
            if round % 3 == 0 {
                lane.cut().await;
            }
        });
        let ender = {
            let target = target.clone();
            spawn_here(async move { target.stop(ExitReason::Shutdown) })
        };
        let mut taken_back = 0;
        for number in 0..MONITORS {
            let monitor = observer.monitor(&far, Say::Down).unwrap();
            if (number + round) % 4 == 0 && monitor.demonitor() {
                taken_back += 1;
            }
        }
        cutter.await.unwrap();
        ender.await.unwrap();
        let told = hears(&observer, MONITORS - taken_back).await;
        assert_eq!(told.len(), MONITORS - taken_back, "{told:?}");
        let known = ["down shutdown", "down noproc", "down noconnection"];
        assert!(told.iter().all(|told| known.contains(&told.as_str())), "{told:?}");
        // Everything that could still tell has done so when the target is gone and what was sent has arrived.
        target.ended().await;
        if round % 3 != 0 {
            settle(&one, &other).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(heard(&observer).await, Vec::<String>::new(), "no more than that");
    }
}

#[tokio::test]
async fn linked_processes_of_two_nodes_end_together() {
    for from_here in [true, false] {
        let (target, one, other, _lane, far) = watched().await;
        let own = listener().await;
        if from_here {
            own.link(&far);
        } else {
            // As somebody does who has both references and is neither of them.
            far.link(&own);
        }
        settle(&one, &other).await;
        let crash = ExitReason::Crashed("no disk".to_owned());
        let (first, second) = if from_here { (&target, &own) } else { (&own, &target) };
        first.cast(Say::End(crash.clone())).await.unwrap();
        assert_eq!(second.ended().await, crash);
    }
}

#[tokio::test]
async fn a_link_works_in_both_directions_and_a_normal_end_harms_nobody() {
    let (target, one, other, _lane, far) = watched().await;
    let own = listener().await;
    own.link(&far);
    settle(&one, &other).await;
    own.cast(Say::End(ExitReason::Normal)).await.unwrap();
    own.ended().await;
    settle(&one, &other).await;
    assert!(target.is_alive());

    let own = listener().await;
    target.cast(Say::TrapExit).await.unwrap();
    own.link(&far);
    own.stop(ExitReason::Shutdown);
    assert_eq!(hears(&target, 1).await, ["exit shutdown"]);
}

#[tokio::test]
async fn a_lane_that_ends_parts_linked_processes_with_noconnection() {
    let (target, one, other, lane, far) = watched().await;
    let own = listener().await;
    target.cast(Say::TrapExit).await.unwrap();
    own.link(&far);
    settle(&one, &other).await;
    lane.cut().await;
    assert_eq!(own.ended().await, ExitReason::NoConnection);
    assert_eq!(hears(&target, 1).await, ["exit noconnection"]);

    let late = listener().await;
    late.link(&far);
    assert_eq!(late.ended().await, ExitReason::NoConnection);
}

#[tokio::test]
async fn a_link_to_a_process_that_is_gone_is_noproc() {
    let (target, _one, _other, _lane, far) = watched().await;
    target.stop(ExitReason::Normal);
    target.ended().await;
    let own = listener().await;
    own.link(&far);
    assert_eq!(own.ended().await, ExitReason::NoProc);
}

#[tokio::test]
async fn a_link_that_was_taken_back_parts_the_two() {
    let (target, one, other, lane, far) = watched().await;
    let own = listener().await;
    own.link(&far);
    settle(&one, &other).await;
    own.unlink(&far);
    settle(&one, &other).await;
    target.stop(ExitReason::Shutdown);
    target.ended().await;
    settle(&one, &other).await;
    lane.cut().await;
    assert!(own.is_alive());
}

/// Two processes of other nodes, linked by a third who holds both references.
#[tokio::test]
async fn who_holds_both_references_can_link_processes_of_other_nodes() {
    let (one, other, third) = (node(1), node(2), node(3));
    let _lanes = [Lane::open(&one, &other), Lane::open(&other, &third), Lane::open(&one, &third)];
    let (first, second) = (listener().await, listener().await);
    let (a, b) = (seen(&first, &one, &third), seen(&second, &other, &third));
    a.link(&b);
    settle(&third, &one).await;
    settle(&one, &other).await;
    settle(&other, &one).await;
    first.cast(Say::End(boom())).await.unwrap();
    assert_eq!(second.ended().await, boom());
}

/// Whichever of the two has ended, or cannot be reached: the other one hears so.
#[tokio::test]
async fn a_third_who_links_a_process_with_one_that_is_gone_lets_it_know() {
    let (one, other, third) = (node(1), node(2), node(3));
    let _lanes = [Lane::open(&one, &other), Lane::open(&other, &third)];
    let lane = Lane::open(&one, &third);
    let (gone, first, second) = (listener().await, listener().await, listener().await);
    let dead = seen(&gone, &one, &third);
    gone.stop(ExitReason::Normal);
    gone.ended().await;
    dead.link(&seen(&first, &other, &third));
    assert_eq!(first.ended().await, ExitReason::NoProc);
    seen(&second, &other, &third).link(&dead);
    assert_eq!(second.ended().await, ExitReason::NoProc);

    let (lives, last) = (listener().await, listener().await);
    let (a, b) = (seen(&lives, &one, &third), seen(&last, &other, &third));
    lane.cut().await;
    a.link(&b);
    settle(&third, &other).await;
    settle(&other, &one).await;
    lives.cast(Say::End(boom())).await.unwrap();
    assert_eq!(last.ended().await, boom(), "their nodes reach each other");
}

/// Mirrors that nobody needs are forgotten: a node that monitors many short-lived things does not grow.
#[tokio::test]
async fn monitors_that_were_taken_back_leave_nothing_behind() {
    let (one, other) =
        (node(1), start(2, 1, super::super::Config { watched_max: 2_000, ..Default::default() }));
    let _lane = Lane::open(&one, &other);
    let observer = listener().await;
    let mut targets = Vec::new();
    for _ in 0..10_000 {
        let target = listener().await;
        let monitor = observer.monitor(&seen(&target, &one, &other), Say::Down).unwrap();
        assert!(monitor.demonitor());
        targets.push(target);
    }
    settle(&one, &other).await;
    assert_eq!(heard(&observer).await, Vec::<String>::new());
    let last = seen(&targets[0], &one, &other);
    assert_eq!(last.call(Say::Heard, PATIENCE).await, Ok(Vec::new()), "the connection holds");
}

/// Keeps what is sent.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Vec<u8>>>>);

impl Wire for Tape {
    fn push(&self, frame: &[u8]) -> Result<(), PushError> {
        self.0.lock().push(frame.to_vec());
        Ok(())
    }

    fn push_when_room<'a>(&'a self, frame: &'a [u8]) -> BoxFuture<'a, Result<(), PushError>> {
        Box::pin(std::future::ready(self.push(frame)))
    }

    fn frame_bytes_max(&self) -> usize {
        16 << 20
    }

    fn close(&self, _: &str) {}
}

impl Tape {
    async fn recorded(&self) -> Vec<Vec<u8>> {
        let record = async {
            while self.0.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, record).await.expect("something is sent");
        self.0.lock().clone()
    }
}

/// Its reader once went on after the news of its end: with messages, and with orders to kill.
#[tokio::test]
async fn nothing_is_taken_from_a_connection_that_was_replaced() {
    let (one, other) = (node(1), node(2));
    let target = listener().await;
    let tape = Tape::default();
    other.open(1, one.home(), "one", Box::new(tape.clone()));
    seen(&target, &one, &other).cast(Say::Word("late".to_owned())).await.unwrap();
    let frames = tape.recorded().await;
    let hear = |session| one.hear(session, &mut frames.iter().map(Vec::as_slice));

    for session in [2, 3] {
        one.open(session, other.home(), "other", Box::new(Tape::default()));
    }
    hear(2);
    one.open(4, home(2, 0), "an earlier start", Box::new(Tape::default()));
    hear(4);
    assert_eq!(
        heard(&target).await,
        Vec::<String>::new(),
        "neither the replaced one nor the refused one counts"
    );
    hear(3);
    assert_eq!(heard(&target).await, ["late"]);
    one.stop();
    hear(3);
    assert_eq!(heard(&target).await, Vec::<String>::new());
}

/// Only one end knows that there is a new lane.
#[tokio::test]
async fn the_end_that_was_replaced_is_told_before_anything_of_the_next() {
    let (one, other, lane) = pair();
    let (target, observer) = (listener().await, listener().await);
    observer.monitor(&seen(&target, &one, &other), Say::Down).unwrap();
    one.groups().join("g", &target).unwrap();
    settle(&one, &other).await;
    assert_eq!(other.groups().members::<Say>("g").len(), 1);
    other.open(u64::MAX, one.home(), "one", Box::new(Tape::default()));
    assert_eq!(hears(&observer, 1).await, ["down noconnection"]);
    assert_eq!(other.groups().members::<Say>("g").len(), 0, "nothing was told on the new one yet");
    lane.cut().await;
    assert_eq!(other.peers().borrow().len(), 1, "the end of the old one is not the end of the new one");
    assert_eq!(heard(&observer).await, Vec::<String>::new(), "told once");
}

/// The text of one process once ended the connection for all.
#[tokio::test]
async fn a_long_reason_is_cut_and_the_connection_holds() {
    let (target, one, other, _lane, far) = watched().await;
    let observer = listener().await;
    observer.monitor(&far, Say::Down).unwrap();
    settle(&one, &other).await;
    far.stop(ExitReason::ShutdownWith("x".repeat(20 << 20)));
    let told = hears(&observer, 1).await;
    assert!(told[0].starts_with("down shutdown: xxx") && told[0].len() < 600, "{} bytes", told[0].len());
    target.ended().await;
    settle(&one, &other).await;

    let target = listener().await;
    observer.monitor(&seen(&target, &one, &other), Say::Down).unwrap();
    settle(&one, &other).await;
    target.cast(Say::End(ExitReason::Crashed("y".repeat(20 << 20)))).await.unwrap();
    let told = hears(&observer, 1).await;
    assert!(told[0].starts_with("down yyy") && told[0].len() < 600, "{} bytes", told[0].len());
    settle(&one, &other).await;
}
