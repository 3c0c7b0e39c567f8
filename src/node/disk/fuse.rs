//! Ends the process when nothing else does.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    time::Duration,
};

use playhouse_cluster::{environment::Environment, store::Probe};

use super::patience::{LOOK_EVERY, Patience};
use crate::node::HangsAfter;

/// How much longer than the others it waits: enough for all that they do in order.
pub(in crate::node) const FUSE_AFTER: Duration = Duration::from_secs(15);

/// Reads that hang, as writes do, may hold every thread that would end the node in order. So this lives on a thread of its own,
/// needs nothing from the others, and writes nothing: that could hang as well.
pub(in crate::node) struct Fuse {
    /// Dropped when the node has ended by itself.
    _alive: Sender<()>,
}

impl Fuse {
    /// Watches `disk`; calls `blow` when one of its calls has lasted so long. Give the node [`FUSE_AFTER`] to end by itself.
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub(in crate::node) fn light(
        disk: Probe,
        after: HangsAfter,
        environment: &Environment,
        blow: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (alive, ended) = mpsc::channel();
        environment.thread("playhouse-fuse", move || {
            let mut patience = Patience::new(after);
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if patience.look(&disk).is_some() {
                    return blow();
                }
            }
        })?;
        Ok(Self { _alive: alive })
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::store::{Batch, Config, Memory, Store};

    use super::*;

    const HANGS_AFTER: HangsAfter =
        HangsAfter { sync: Duration::from_secs(2), write: Duration::from_secs(3) };

    /// In real time: a fuse that follows a clock that can stop would be none.
    #[tokio::test]
    async fn a_fuse_blows_when_the_disk_hangs_and_never_before() {
        let (environment, memory) = (Environment::simulated(1), Memory::new());
        let store = Store::start(memory.clone(), &environment, Config::default()).unwrap();
        let (tell, mut blown) = tokio::sync::mpsc::unbounded_channel();
        let begin = environment.now();
        let fuse = Fuse::light(store.probe(), HANGS_AFTER, &environment, move || tell.send(()).unwrap());
        memory.faults().set_latency(Duration::from_secs(3_600));
        let mut batch = Batch::new();
        batch.put("key", "value");
        store.commit_then(batch, Box::new(|_| ()));
        blown.recv().await.unwrap();
        assert!(begin.elapsed() >= HANGS_AFTER.sync, "{:?}", begin.elapsed());
        drop(fuse.unwrap());
    }

    #[tokio::test]
    async fn a_fuse_ends_with_its_node() {
        let environment = Environment::simulated(1);
        let store = Store::start(Memory::new(), &environment, Config::default()).unwrap();
        let (tell, mut blown) = tokio::sync::mpsc::unbounded_channel();
        let fuse = Fuse::light(store.probe(), HANGS_AFTER, &environment, move || tell.send(()).unwrap());
        drop(fuse.unwrap());
        assert_eq!(blown.recv().await, None, "its thread is gone and nothing was ended");
    }
}
