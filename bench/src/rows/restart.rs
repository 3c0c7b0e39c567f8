//! Restart of a node whose log has a million entries: from the start to a leader of every shard.

use std::{path::Path, sync::Arc};

use playhouse::{
    kinds::{Counter, counter::Command},
    node::Settings,
};
use playhouse_cluster::{
    consensus::{Group, GroupId, Isolated, Leadership, Observer, Progress, RaftGroup, RaftId},
    environment::Environment,
    store::{self, Batch, EngineKind, Store},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{key, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, environment, runtime, settings},
    store::EVENT_BYTES,
    table::name,
};

const WORK: &str = "restart until ready";
const ENTRIES: usize = 1_000_000;
const COUNTERS: usize = 1_000;
/// Proposals on their way, per group.
const IN_FLIGHT: usize = 512;

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let (full, empty) = (volume(folder), volume(folder));
    let full = uncut(full.path());
    let empty = uncut(empty.path());
    let node = TestNode::start(&full);
    call_all(&node, &Command::Add(7));
    let own = node.raft_id();
    node.stop();
    fill(&full, own);
    TestNode::start(&empty).stop();
    for _ in 0..effort.runs {
        figures.note(name(WORK, "Playhouse, 1 M log entries"), Unit::Nanoseconds, restart(&full, true));
        figures.note(name(WORK, "Playhouse, empty log"), Unit::Nanoseconds, restart(&empty, false));
    }
}

/// Nothing cuts the log.
fn uncut(folder: &Path) -> Settings {
    let mut settings = settings(folder, EngineKind::Fjall);
    settings.consensus.log_entries_max = u64::MAX;
    settings.consensus.log_bytes_max = u64::MAX;
    settings
}

fn restart(settings: &Settings, has_counters: bool) -> f64 {
    let started = Instant::now();
    let node = TestNode::start(settings);
    let took = started.elapsed();
    if has_counters {
        call_all(&node, &Command::Get {});
    }
    node.stop();
    took.as_nanos() as f64
}

/// Calls each counter once; all of them show what was added before the log was filled.
fn call_all(node: &TestNode, command: &Command) {
    let shown = node.each(0..COUNTERS, |number| {
        let (counter, command) = (node.entity::<Counter>(&key(number)), command.clone());
        async move { counter.call(&command).await.expect("the node is healthy").value }
    });
    assert!(shown.iter().all(|value| *value == 7), "nothing acknowledged is lost");
}

/// Proposes what an executor would, one entry per proposal, which a node under load does not: it would take long.
fn fill(settings: &Settings, own: RaftId) {
    let runtime = runtime();
    let environment = environment(runtime.handle());
    let folder = settings.data_dir.join("store");
    runtime.block_on(async {
        let opened = store::open(settings.engine, &folder, &settings.store, &environment);
        let store = opened.expect("the node closed it");
        let shards = usize::from(settings.shards.get());
        let groups = (0..settings.shards.get()).map(|shard| {
            let (settings, store, environment) = (settings.clone(), store.clone(), environment.clone());
            let fill =
                fill_group(settings, u32::from(shard), own, store, environment.clone(), ENTRIES / shards);
            environment.spawn(fill)
        });
        let groups: Vec<_> = groups.collect();
        futures_util::future::try_join_all(groups).await.expect("no task panics");
        store.shutdown().await;
    });
}

async fn fill_group(
    settings: Settings,
    shard: u32,
    own: RaftId,
    store: Store,
    environment: Environment,
    entries: usize,
) {
    let (id, transport) = (GroupId(shard), Arc::new(Isolated));
    let opened = RaftGroup::open(id, own, store, transport, &settings.consensus, &environment).await;
    let group = opened.expect("the node left it whole");
    group.elect().await.expect("it is its only voter");
    let mut leadership = group.leadership();
    let led = leadership.wait_for(|now| matches!(now, Leadership::Leader { .. })).await;
    let Leadership::Leader { term } = *led.expect("the replica lives") else { unreachable!("waited for") };
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    for number in 0..entries {
        let permit = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
        let mut batch = Batch::new();
        // No family of a shard's keys begins with this letter.
        batch.put(format!("z{:04}", number % COUNTERS).into_bytes(), vec![number as u8; EVENT_BYTES]);
        group.propose(term, number as u64 + 1, batch, Box::new(Applied(Some(permit)))).await;
    }
    drop(room.acquire_many(IN_FLIGHT as u32).await);
    group.shutdown().await;
}

/// Makes room for the next proposal.
struct Applied(Option<OwnedSemaphorePermit>);

impl Observer for Applied {
    fn progress(&mut self, progress: Progress) {
        assert!(!matches!(progress, Progress::Failed(_)), "the group is led and the disk works");
        if progress == Progress::Applied {
            self.0 = None;
        }
    }
}
