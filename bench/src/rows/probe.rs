//! Callers that call one counter each, one call after the other, and note when they were answered.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use playhouse::{
    kinds::{Counter, counter::Command},
    protocol::EntityId,
    router::EntityRef,
};
use playhouse_cluster::consensus::RaftId;
use tokio::{task::JoinHandle, time::Instant};

use super::key;
use crate::cluster::{Cluster, PATIENCE};

/// Between two calls of a caller, so that calls leave the cores to the nodes. A pause is seen at most this much shorter than it was.
const PAUSE: Duration = Duration::from_millis(1);
/// How often is looked whether a call was answered; the answers are timed by the callers.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) is_answered: bool,
    /// Who led the shard, as far as the caller's node knew, when the call began and when it had ended.
    pub(super) leaders: [Option<Option<RaftId>>; 2],
}

/// A caller of one counter.
pub(super) struct Probe {
    entity: EntityRef<Counter>,
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What a caller saw in all.
pub(super) struct Seen {
    pub(super) calls: Vec<Call>,
    /// What was acknowledged and is not there: the counter is exact.
    pub(super) lost: u64,
}

impl Probe {
    /// Callers on the node of this process, for keys on so many different shards.
    pub(super) fn start(cluster: &Cluster, count: usize) -> Vec<Self> {
        let mut shards = std::collections::BTreeSet::new();
        let shard = |key: &String| {
            EntityId::new("counter", key).expect("it is allowed").shard(cluster.own().router().shards())
        };
        let keys = (0..).map(key).filter(|key| shards.insert(shard(key))).take(count);
        keys.map(|key| Self::of(cluster, &key)).collect()
    }

    fn of(cluster: &Cluster, key: &str) -> Self {
        let (entity, stop) = (cluster.own().entity::<Counter>(key), Arc::new(AtomicBool::new(false)));
        let (calls, router) = (Arc::<Mutex<Vec<Call>>>::default(), cluster.own().router().clone());
        let shard = entity.id().shard(router.shards());
        let (told, noted, asked) = (Arc::clone(&stop), Arc::clone(&calls), entity.clone());
        let task = cluster.own().spawn(async move {
            while !told.load(Ordering::Relaxed) {
                let (began, leader) = (Instant::now(), router.leader(shard));
                let is_answered = asked.call(&Command::Add(1)).await.is_ok();
                let leaders = [leader, router.leader(shard)];
                let call = Call { began, ended: Instant::now(), is_answered, leaders };
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { entity, calls, stop, task }
    }

    /// Which counter.
    pub(super) fn id(&self) -> &EntityId {
        self.entity.id()
    }

    /// The first answered call that began after `moment`, once there is one.
    pub(super) fn answered_after(&self, moment: Instant) -> Call {
        loop {
            let is_it = |call: &&Call| call.began >= moment && call.is_answered;
            if let Some(call) = self
                .calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .rev()
                .take_while(|call| call.began >= moment)
                .filter(is_it)
                .last()
            {
                return *call;
            }
            assert!(moment.elapsed() < PATIENCE, "{} is answered in time", self.id());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends the caller.
    pub(super) fn end(self, cluster: &Cluster) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let entity = self.entity.clone();
        let value = cluster.own().wait(async {
            self.task.await.expect("no caller panics");
            entity.call(&Command::Get {}).await.expect("the cluster is healthy").value
        });
        let calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        let acknowledged = calls.iter().filter(|call| call.is_answered).count() as u64;
        let counted = u64::try_from(value).expect("only 1 was added");
        assert!(counted <= calls.len() as u64, "no call takes effect twice");
        Seen { calls, lost: acknowledged.saturating_sub(counted) }
    }
}
