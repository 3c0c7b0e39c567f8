//! Watches the disk: a node that can make nothing durable must not lead.
//!
//! Comes in: what the store tells about itself, [`Probe`]. Leaves: peers that know of it, and, when the disk failed or
//! hangs, groups that are stopped, so that others elect leaders at once, and a reason to end the process.
//!
//! A full disk is no such reason: writes wait, and go on when there is space.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    time::Duration,
};

use playhouse_cluster::{
    environment::Environment,
    peering::Peering,
    store::{DiskCall, Health, Probe},
};
use tokio::sync::watch;

use super::cluster::shards::Groups;

/// How long one sync may take. Keep it above what a disk needs that is only slow, and below the patience of clients.
pub const SYNC_WITHIN: Duration = Duration::from_secs(5);
/// How long the engine may take to accept a batch: one that merges its files makes the writer wait without being broken.
pub const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the groups may take to stop: one that waits for the disk itself does not, and leads nobody meanwhile.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
/// How much longer than the watch the [`Fuse`] waits: enough for all that is done in order.
const FUSE_AFTER: Duration = Duration::from_secs(10);

/// Watches the disk of one node.
pub(super) struct DiskWatch {
    pub(super) probe: Probe,
    pub(super) peering: Option<Peering>,
    pub(super) groups: Groups,
    pub(super) environment: Environment,
    pub(super) fatal: watch::Sender<Option<String>>,
    /// Becomes true when the disk is given up.
    pub(super) is_lost: watch::Sender<bool>,
}

impl DiskWatch {
    /// Runs until the disk is lost, or `stopped`.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut health = self.probe.health();
        let mut told = true;
        while !*stopped.borrow_and_update() {
            let is_healthy = health.borrow_and_update().is_healthy();
            if std::mem::replace(&mut told, is_healthy) != is_healthy {
                self.tell(is_healthy);
            }
            if let Some(reason) = verdict(&self.probe) {
                return self.give_up(reason).await;
            }
            tokio::select! {
                biased;
                _ = stopped.changed() => {}
                Ok(()) = health.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Peers hear it at once.
    fn tell(&self, is_healthy: bool) {
        if let Some(peering) = &self.peering {
            peering.set_store_healthy(is_healthy);
        }
    }

    async fn give_up(self, reason: String) {
        tracing::error!(reason, "the disk is lost; this node gives its leaderships up and ends");
        self.is_lost.send_replace(true);
        self.tell(false);
        // A leader that cannot append goes on sending heartbeats: only when they stop, others elect.
        let groups = self.groups.all();
        let stopping: Vec<_> = groups
            .into_iter()
            .map(|(_, group)| self.environment.spawn(async move { group.shutdown().await }))
            .collect();
        self.fatal.send_if_modified(|fatal| {
            let is_first = fatal.is_none();
            fatal.get_or_insert(reason);
            is_first
        });
        drop(tokio::time::timeout(STOPPED_WITHIN, futures_util::future::join_all(stopping)).await);
    }
}

/// Why the disk is lost, if it is.
fn verdict(probe: &Probe) -> Option<String> {
    if let Health::Failed(error) = &*probe.health().borrow() {
        return Some(format!("the store failed: {error}"));
    }
    let late = |call, within| probe.waiting(call).filter(|waited| *waited > within);
    let sync = late(DiskCall::Sync, SYNC_WITHIN);
    let sync = sync.map(|waited| format!("the disk hangs: a sync has not ended for {} s", waited.as_secs()));
    let write = || {
        late(DiskCall::Write, WRITE_WITHIN)
            .map(|waited| format!("a write has not ended for {} s", waited.as_secs()))
    };
    sync.or_else(write)
}

/// Ends the process when nothing else does: reads that hang, too, may hold every thread that would do it in order.
/// It lives on a thread of its own, needs nothing from the others, and writes nothing: that could hang as well.
pub(super) struct Fuse {
    /// Dropped when the node has ended by itself.
    _alive: Sender<()>,
}

impl Fuse {
    pub(super) fn light(probe: Probe, environment: &Environment) -> std::io::Result<Self> {
        let (alive, ended) = mpsc::channel();
        environment.thread("playhouse-fuse", move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if probe.waiting(DiskCall::Sync) > Some(SYNC_WITHIN + FUSE_AFTER) {
                    std::process::exit(1);
                }
            }
        })?;
        Ok(Self { _alive: alive })
    }
}

#[cfg(test)]
mod tests;
