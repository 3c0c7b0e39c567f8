//! The replicas of shards on this node: opened where the configuration wants them, closed where it does not.
//!
//! A replica may have been replaced while the node was down. It is never opened: with others like it, it could elect a leader of
//! voters that were replaced long ago. It is removed, because the configuration that leaves it out is newer than the one it came
//! by: a node follows none before it knows that its own start was committed, and a replica came by what an earlier start had
//! applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use playhouse_cluster::{
    consensus::{self, GroupId, RaftGroup, RaftId, Recovery, Survivor, Transport},
    environment::{Environment, watch},
    membership::{ClusterState, Replicas, Which},
    store::Store,
};
use tokio::task::JoinHandle;

use super::{
    mover::{Mover, MoverServices},
    system::Known,
};
use crate::{
    node::{
        StartError,
        stop::Stop,
        supervise::{CurrentHandover, Supervisor},
    },
    protocol::ShardId,
    router::Router,
    shard::{MailboxConfig, ShardServices, ShardStatistics},
    telemetry::Metrics,
};

/// How many replicas are opened at once.
const AT_ONCE: usize = 16;
/// How long a replica that is not wanted any more stays, so that a change that is given up finds it again.
const CLOSED_AFTER: Duration = Duration::from_secs(5);

/// Groups of this node, by id: where requests of other replicas go.
#[derive(Clone, Default)]
pub(in crate::node) struct Groups(Arc<RwLock<BTreeMap<GroupId, RaftGroup>>>);

impl Groups {
    pub(in crate::node) fn insert(&self, group: &RaftGroup, id: GroupId) {
        self.0.write().insert(id, group.clone());
    }

    fn remove(&self, id: GroupId) {
        self.0.write().remove(&id);
    }

    /// The node is over. As with the control service: groups hold the link, and the link holds them.
    pub(in crate::node) fn clear(&self) {
        let groups = std::mem::take(&mut *self.0.write());
        drop(groups);
    }

    pub(in crate::node) fn get(&self, id: GroupId) -> Option<RaftGroup> {
        self.0.read().get(&id).cloned()
    }

    pub(in crate::node) fn all(&self) -> Vec<(GroupId, RaftGroup)> {
        self.0.read().iter().map(|(id, group)| (*id, group.clone())).collect()
    }
}

/// What replicas of shards are made of.
pub(in crate::node) struct Parts {
    pub(in crate::node) own: RaftId,
    pub(in crate::node) store: Store,
    pub(in crate::node) transport: Arc<dyn Transport>,
    pub(in crate::node) config: consensus::Config,
    pub(in crate::node) environment: Environment,
    pub(in crate::node) router: Router,
    pub(in crate::node) services: ShardServices,
    pub(in crate::node) mailbox: MailboxConfig,
    pub(in crate::node) metrics: Metrics,
    pub(in crate::node) fatal: watch::Sender<Option<String>>,
    pub(in crate::node) statistics: Vec<watch::Sender<ShardStatistics>>,
    pub(in crate::node) groups: Groups,
    pub(in crate::node) movers: MoverServices,
}

/// Opens and closes replicas until it is stopped.
pub(in crate::node) struct Shards {
    parts: Arc<Parts>,
    open: BTreeMap<u16, Replica>,
    /// Replicas of earlier starts that are not wanted, and since when. `None`: nobody looked yet.
    left_over: Option<BTreeMap<u16, tokio::time::Instant>>,
    /// Those of them that may still be needed; it was logged.
    kept: BTreeSet<u16>,
}

struct Replica {
    group: RaftGroup,
    stop: Stop,
    tasks: Vec<JoinHandle<()>>,
    /// Since when it is not wanted.
    unwanted_since: Option<tokio::time::Instant>,
}

impl Shards {
    pub(in crate::node) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), open: BTreeMap::new(), left_over: None, kept: BTreeSet::new() }
    }

    /// Follows the configuration until `stopped`; then closes all replicas in order.
    pub(in crate::node) async fn run(
        mut self,
        mut known: watch::Receiver<Known>,
        mut stopped: watch::Receiver<bool>,
    ) {
        while !*stopped.borrow_and_update() {
            let state = known.borrow_and_update().clone();
            if let Some(state) = state
                && let Err(error) = self.follow(&state).await
            {
                let reason = format!("a replica did not open: {error}");
                tracing::error!(reason, "the node cannot serve");
                self.parts.fatal.send_first(reason);
                break;
            }
            tokio::select! {
                biased;
                // An error means that the node was dropped, or that its system group is gone.
                told = stopped.changed() => if told.is_err() { break },
                told = known.changed() => if told.is_err() { break },
                () = tokio::time::sleep(CLOSED_AFTER) => {}
            }
        }
        drop(stopped.wait_for(|stopped| *stopped).await);
        self.close_all().await;
    }

    async fn follow(&mut self, state: &ClusterState) -> Result<(), StartError> {
        let own = self.parts.own;
        let is_wanted = |shard: u16| {
            state.replicas(Which::Shard(u32::from(shard))).is_some_and(|replicas| replicas.involves(own))
        };
        let shards = u16::try_from(state.shards()).unwrap_or(u16::MAX);
        let missing: Vec<u16> =
            (0..shards).filter(|shard| is_wanted(*shard) && !self.open.contains_key(shard)).collect();
        for some in missing.chunks(AT_ONCE) {
            let opening = some.iter().map(|shard| open(Arc::clone(&self.parts), *shard, state));
            let opened = futures_util::future::try_join_all(opening).await?;
            self.open.extend(some.iter().copied().zip(opened));
        }
        let now = self.parts.environment.now();
        let mut over = Vec::new();
        for (shard, replica) in &mut self.open {
            // Half-way through a change it may still be needed for a majority.
            let actual = replica.group.replicas();
            let votes = |actual: &consensus::Replicas| actual.is_joint && actual.voters.contains(&own);
            let still_votes = votes(&actual.borrow());
            replica.unwanted_since =
                (!is_wanted(*shard) && !still_votes).then(|| replica.unwanted_since.unwrap_or(now));
            if replica.unwanted_since.is_some_and(|since| since + CLOSED_AFTER <= now) {
                over.push(*shard);
            }
        }
        for shard in over {
            self.remove(shard).await?;
        }
        self.clear_left_over(state, now).await
    }

    /// Removes what earlier starts left behind, as late as what is open: a change that is given up finds it again.
    async fn clear_left_over(
        &mut self,
        state: &ClusterState,
        now: tokio::time::Instant,
    ) -> Result<(), StartError> {
        let mut left_over = match self.left_over.take() {
            Some(left_over) => left_over,
            None => self.find_left_over(now)?,
        };
        left_over.retain(|shard, _| !self.open.contains_key(shard));
        let over: Vec<_> = left_over.extract_if(.., |_, since| *since + CLOSED_AFTER <= now).collect();
        for (shard, _) in over {
            if self.may_be_needed(shard, state)? {
                left_over.insert(shard, now);
                continue;
            }
            tracing::info!(shard, "this node had a replica of the shard that was replaced meanwhile");
            RaftGroup::destroy(&self.parts.store, GroupId(u32::from(shard))).await?;
        }
        self.left_over = Some(left_over);
        Ok(())
    }

    /// As with what is open: half-way through a change the replica may still be needed for a majority.
    fn may_be_needed(&mut self, shard: u16, state: &ClusterState) -> Result<bool, StartError> {
        let stored = Recovery::open(&self.parts.store, GroupId(u32::from(shard)))?;
        let mapped = state.replicas(Which::Shard(u32::from(shard)));
        let is_needed = stored.is_some_and(|stored| is_half_way(self.parts.own, mapped, stored.survivor()));
        if is_needed && self.kept.insert(shard) {
            tracing::warn!(
                shard,
                "the shard does not want the replica of this node, which was half-way through a change; it stays until the \
                 shard reports its voters again"
            );
        }
        Ok(is_needed)
    }

    /// What the store holds and the configuration does not want: all that it wants is open.
    fn find_left_over(
        &self,
        now: tokio::time::Instant,
    ) -> Result<BTreeMap<u16, tokio::time::Instant>, StartError> {
        let mut found = BTreeMap::new();
        for shard in 0..u16::try_from(self.parts.statistics.len()).unwrap_or(u16::MAX) {
            let is_open = self.open.contains_key(&shard);
            if !is_open && RaftGroup::has_group(&self.parts.store, GroupId(u32::from(shard)))? {
                found.insert(shard, now);
            }
        }
        Ok(found)
    }

    /// Removes a replica for good: the configuration says that the group goes on without it.
    async fn remove(&mut self, shard: u16) -> Result<(), StartError> {
        let Some(replica) = self.open.remove(&shard) else { return Ok(()) };
        let id = GroupId(u32::from(shard));
        tracing::info!(shard, "this node has no replica of the shard any more");
        self.parts.groups.remove(id);
        if replica.close().await {
            RaftGroup::destroy(&self.parts.store, id).await?;
        } else if let Some(left_over) = &mut self.left_over {
            left_over.insert(shard, self.parts.environment.now());
        }
        Ok(())
    }

    async fn close_all(self) {
        // All at once: each may wait for a step of its mover, and for its last write.
        let closing = self.open.into_iter().map(|(shard, replica)| {
            self.parts.groups.remove(GroupId(u32::from(shard)));
            replica.close()
        });
        futures_util::future::join_all(closing).await;
    }
}

impl Replica {
    /// No task of it runs any more when it returns `true`.
    async fn close(self) -> bool {
        self.stop.tell();
        for task in self.tasks {
            drop(task.await);
        }
        self.group.shutdown().await
    }
}

/// Whether the last that a replica knows is a change of voters, itself among them, that the configuration does not know to be
/// over.
fn is_half_way(own: RaftId, mapped: Option<&Replicas>, stored: &Survivor) -> bool {
    let is_over = mapped.is_some_and(|mapped| mapped.confirmed_at > stored.last.index);
    stored.voters.len() > 1 && stored.votes(own) && !is_over
}

async fn open(parts: Arc<Parts>, shard: u16, state: &ClusterState) -> Result<Replica, StartError> {
    let Parts { own, store, transport, config, environment, .. } = &*parts;
    let id = GroupId(u32::from(shard));
    let is_new = !RaftGroup::has_group(store, id)?;
    let group = RaftGroup::open(id, *own, store.clone(), Arc::clone(transport), config, environment).await?;
    let is_founder = state
        .replicas(Which::Shard(u32::from(shard)))
        .is_some_and(|replicas| replicas.confirmed_at == 0 && replicas.voters.iter().eq([own]));
    if is_new && is_founder {
        group.found(&BTreeSet::from([*own])).await?;
    } else if group.replicas().borrow().voters.iter().eq([own]) {
        // The only voter needs nobody's consent, so it need not wait for the election timeout.
        group.elect().await?;
    }
    parts.groups.insert(&group, id);
    let (stop, stopped) = Stop::new();
    let handover = CurrentHandover::default();
    let supervisor = Supervisor {
        shard: ShardId(shard),
        group: group.clone(),
        router: parts.router.clone(),
        services: parts.services.clone(),
        mailbox: parts.mailbox,
        statistics: parts.statistics[usize::from(shard)].clone(),
        metrics: parts.metrics.clone(),
        fatal: parts.fatal.clone(),
        handover: handover.clone(),
    };
    let mover = Mover {
        which: Which::Shard(u32::from(shard)),
        group: group.clone(),
        handover: Some(handover),
        services: parts.movers.clone(),
    };
    let tasks = vec![
        environment.spawn_vital("supervisor of a shard", supervisor.run(stopped.clone())),
        environment.spawn_vital("mover of a shard", mover.run(stopped)),
    ];
    Ok(Replica { group, stop, tasks, unwanted_since: None })
}

#[cfg(test)]
mod tests;
