//! What the switch of a simulated host does.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that counts seconds, and starts another one which does the same.
fn count(environment: &Environment) -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (seconds, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let tick = {
        let (seconds, dropped) = (seconds.clone(), dropped.clone());
        move || {
            let (seconds, dropped) = (seconds.clone(), Dropped(dropped.clone()));
            async move {
                let _dropped = dropped;
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    seconds.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    environment.spawn(async move {
        spawn_here(tick());
        tick().await
    });
    (seconds, dropped)
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_millis(seconds * 1_000 + 500)).await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_host_runs_nothing_and_goes_on_when_it_thaws() {
    let (environment, other) = (Environment::simulated(1), Environment::simulated(2));
    let ((seconds, dropped), (elsewhere, _)) = (count(&environment), count(&other));
    pass(10).await;
    let before = seconds.load(Ordering::Relaxed);
    assert_eq!(before, 20, "two tasks, ten seconds");
    environment.host().freeze();
    let born_frozen = environment.spawn(async { 7 });
    pass(10).await;
    assert_eq!(seconds.load(Ordering::Relaxed), before);
    assert!(!born_frozen.is_finished());
    assert!(elsewhere.load(Ordering::Relaxed) >= 40, "another host does not care");
    environment.host().thaw();
    assert_eq!(born_frozen.await.unwrap(), 7);
    pass(10).await;
    assert!(seconds.load(Ordering::Relaxed) >= before + 20, "timers that were due fire late, then go on");
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_drops_every_task_even_of_a_frozen_host() {
    for frozen in [false, true] {
        let environment = Environment::simulated(1);
        let host = environment.host();
        let (seconds, dropped) = count(&environment);
        pass(1).await;
        if frozen {
            host.freeze();
        }
        assert_eq!(host.tasks(), 2);
        host.crash();
        pass(5).await;
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert_eq!(seconds.load(Ordering::Relaxed), 2);
        host.thaw();
        assert!(environment.spawn(async {}).await.unwrap_err().is_cancelled(), "it stays off");
        assert_eq!(host.tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_and_random_numbers_are_inherited() {
    let draw = || async { spawn_here(async { spawn_here(async { random_here() }).await }).await };
    let drawn = async |seed| Environment::simulated(seed).spawn(draw()).await.unwrap().unwrap().unwrap();
    assert_eq!(drawn(5).await, drawn(5).await);
    assert_ne!(drawn(5).await, drawn(6).await);
    let scoped = async |seed| Environment::simulated(seed).scope(draw()).await.unwrap().unwrap();
    assert_eq!(scoped(5).await, drawn(5).await);
}

#[tokio::test(start_paused = true)]
async fn aligned_waits_of_a_node_end_together_and_those_of_another_do_not() {
    let step = Duration::from_millis(40);
    let ends = |seed| async move {
        let waits = (1..=40).map(|ms| aligned_here(Duration::from_millis(ms), step));
        Environment::simulated(seed).scope(async { waits.collect::<Vec<_>>() }).await
    };
    let (of_one, of_other) = (ends(5).await, ends(6).await);
    for (ms, wait) in (1..=40).zip(&of_one) {
        let asked = Duration::from_millis(ms);
        assert!(asked <= *wait && *wait < asked + step, "{asked:?} became {wait:?}");
    }
    let distinct = |waits: &[Duration]| waits.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(distinct(&of_one) <= 2, "{of_one:?}");
    assert_ne!(of_one, of_other);
}
