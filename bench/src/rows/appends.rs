//! What writers append per second, to the store as a Raft log does it, and to a raw file.
//!
//! Each writer waits for its last append before it begins the next, and none begins after the time is over. The last ones end a
//! little later: what counts is the time until then.

use std::{path::Path, time::Duration};

use playhouse_cluster::store::EngineKind;
use tokio::{runtime::Runtime, time::Instant};

use super::volume;
use crate::{
    node::{environment, runtime},
    raw_file::RawFile,
    store::{Appender, start},
};

/// Who appends, what at a time, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) writers: u32,
    /// How many at a time.
    pub(super) events: u64,
    pub(super) run: Duration,
}

impl Load {
    /// Events per second, counted by those that were told that they are durable.
    pub(super) fn to_store(self, folder: &Path, kind: EngineKind) -> f64 {
        let (volume, runtime) = (volume(folder), runtime());
        let store = start(kind, volume.path(), runtime.handle());
        let rate = self.rate(&runtime, |writer, started| {
            let mut appender = Appender::new(store.clone(), writer);
            async move {
                let mut appended = 0;
                while started.elapsed() < self.run {
                    appender.append(self.events).await;
                    appended += self.events;
                }
                appended
            }
        });
        runtime.block_on(store.shutdown());
        rate
    }

    /// The same of a file, with so many bytes for each event.
    pub(super) fn to_file(self, folder: &Path, event_bytes: usize) -> f64 {
        let (volume, runtime) = (volume(folder), runtime());
        let environment = environment(runtime.handle());
        let file = RawFile::create(&volume.path().join("log"), &environment).expect("the disk works");
        self.rate(&runtime, |writer, started| {
            let file = file.clone();
            async move {
                let mut appended = 0;
                while started.elapsed() < self.run {
                    file.append(vec![writer as u8; event_bytes * self.events as usize]).await;
                    appended += self.events;
                }
                appended
            }
        })
    }

    fn rate<F>(self, runtime: &Runtime, write: impl Fn(u32, Instant) -> F) -> f64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let started = Instant::now();
        let writing: Vec<_> =
            (0..self.writers).map(|writer| runtime.handle().spawn(write(writer, started))).collect();
        let appended =
            runtime.block_on(futures_util::future::try_join_all(writing)).expect("no writer panics");
        appended.into_iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An append that began in time takes longer than all of it: over the time that was asked for, the rate would be 10 per second.
    #[test]
    fn a_rate_is_of_the_time_that_it_took() {
        const RUN: Duration = Duration::from_millis(100);
        let load = Load { writers: 1, events: 1, run: RUN };
        let rate = load.rate(&runtime(), |_, started| async move {
            while started.elapsed() < RUN * 5 {
                tokio::task::yield_now().await;
            }
            1
        });
        assert!(rate > 0.0 && rate <= 2.0, "{rate}");
    }
}
