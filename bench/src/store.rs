//! Appends to the store as a Raft log would.

use std::path::Path;

use playhouse_cluster::store::{self, Batch, Config, EngineKind, Store};
use tokio::runtime::Handle;

use crate::node::environment;

/// The size of one event, in bytes.
pub const EVENT_BYTES: usize = 200;

/// Opens a store with the default configuration.
///
/// # Panics
///
/// When the store cannot be opened.
#[must_use]
pub fn start(kind: EngineKind, folder: &Path, runtime: &Handle) -> Store {
    let environment = environment(runtime);
    store::open(kind, folder, &Config::default(), &environment).expect("the folder is empty")
}

/// One writer with a log of its own.
#[derive(Debug)]
pub struct Appender {
    store: Store,
    writer: u32,
    next: u64,
}

impl Appender {
    /// A log that begins at 0.
    #[must_use]
    pub fn new(store: Store, writer: u32) -> Self {
        Self { store, writer, next: 0 }
    }

    /// Appends `events` in one batch; returns when they are durable.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub async fn append(&mut self, events: u64) {
        let mut batch = Batch::new();
        for _ in 0..events {
            batch.put(key(self.writer, self.next), event(self.writer, self.next));
            self.next += 1;
        }
        self.store.commit(batch).await.expect("the disk works");
    }

    /// Removes all but the last `kept` events. Returns how many were removed.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub async fn purge(&self, kept: u64) -> u64 {
        let (from, to) = (key(self.writer, 0), key(self.writer, self.next.saturating_sub(kept)));
        self.store.remove_range(&from, &to).await.expect("the disk works")
    }

    /// The oldest event that is there: what Raft asks for when it starts, and what tombstones make slow.
    ///
    /// # Panics
    ///
    /// When the store fails.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let (from, to) = (key(self.writer, 0), key(self.writer, u64::MAX));
        let found = self.store.keys(&from..&to, 1).expect("the disk works");
        found.first().and_then(|key| Some(u64::from_be_bytes(key.last_chunk().copied()?)))
    }
}

/// Writer, then index, both big endian, so that a log is a range.
fn key(writer: u32, index: u64) -> Vec<u8> {
    [&writer.to_be_bytes()[..], b"log", &index.to_be_bytes()].concat()
}

/// Bytes that do not compress and differ from event to event.
fn event(writer: u32, index: u64) -> Vec<u8> {
    let mut state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(writer) << 40 | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(EVENT_BYTES).collect()
}
