//! When a disk counts as hanging.

use std::time::Duration;

use playhouse_cluster::{
    environment::Environment,
    store::{Batch, Config, Memory, Store},
};

use super::*;

const HANGS_AFTER: HangsAfter = HangsAfter { sync: Duration::from_secs(7), write: Duration::from_secs(20) };

fn put() -> Batch {
    let mut batch = Batch::new();
    batch.put("key", "value");
    batch
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_given_up_in_time() {
    let (environment, memory) = (Environment::simulated(1), Memory::new());
    let store = Store::start(memory.clone(), &environment, Config::default()).unwrap();
    environment.spawn(give_up_when_hanging(store.probe(), HANGS_AFTER));
    memory.faults().set_latency(Duration::from_secs(3_600));
    let begin = environment.now();
    store.commit_then(put(), Box::new(|_| ()));
    let error = failed(store.health()).await;
    assert_eq!(error.to_string().split(';').next(), Some("the disk hangs: a sync has not returned for 7 s"));
    let took = begin.elapsed();
    assert!(took >= HANGS_AFTER.sync && took <= HANGS_AFTER.sync + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_slow_or_full_is_not_given_up() {
    let (environment, memory) = (Environment::simulated(1), Memory::new());
    let store = Store::start(memory.clone(), &environment, Config::default()).unwrap();
    environment.spawn(give_up_when_hanging(store.probe(), HANGS_AFTER));
    memory.faults().set_latency(HANGS_AFTER.sync - Duration::from_secs(1));
    for _ in 0..20 {
        store.commit(put()).await.unwrap();
    }
    memory.faults().set_full(true);
    store.commit_then(put(), Box::new(|_| ()));
    tokio::time::sleep(HANGS_AFTER.write * 2).await;
    assert!(matches!(*store.health().borrow(), Health::Full { .. }));
    memory.faults().set_full(false);
    store.commit(put()).await.unwrap();
}

/// A stopped process finds its sync as old as the stop when it goes on.
#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_does_not_blame_its_disk() {
    let (environment, memory) = (Environment::simulated(1), Memory::new());
    let store = Store::start(memory.clone(), &environment, Config::default()).unwrap();
    environment.spawn(give_up_when_hanging(store.probe(), HANGS_AFTER));
    memory.faults().set_latency(Duration::from_secs(60));
    let slow = store.commit(put());
    let stopped = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        environment.host().freeze();
        tokio::time::sleep(Duration::from_secs(58)).await;
        environment.host().thaw();
    };
    let (written, ()) = tokio::join!(slow, stopped);
    written.unwrap();
    assert!(store.health().borrow().is_healthy());
}
