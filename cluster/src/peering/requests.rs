//! Requests that are not answered yet: ours, and those of a peer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::RequestError;
use crate::{collections::Map, consensus::RaftId};

type Sender = oneshot::Sender<Result<Bytes, RequestError>>;

/// Our requests on one session.
#[derive(Debug)]
pub(super) struct Requests {
    /// None: the session is closed.
    waiting: Mutex<Option<Waiting>>,
    count_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    senders: Map<u64, Sender>,
}

impl Requests {
    pub(super) fn new(count_max: usize) -> Self {
        Self { waiting: Mutex::new(Some(Waiting::default())), count_max }
    }

    /// A number for one more request, and where its answer will be. Full: `Ok(None)`. Closed: an error.
    #[allow(clippy::type_complexity)] // A number and a receiver.
    pub(super) fn open(
        &self,
    ) -> Result<Option<(u64, oneshot::Receiver<Result<Bytes, RequestError>>)>, Closed> {
        let mut waiting = self.waiting.lock();
        let waiting = waiting.as_mut().ok_or(Closed)?;
        if waiting.senders.len() >= self.count_max {
            return Ok(None);
        }
        let id = waiting.next;
        waiting.next += 1;
        let (sender, receiver) = oneshot::channel();
        waiting.senders.insert(id, sender);
        Ok(Some((id, receiver)))
    }

    /// Takes out who waits for `id`; nobody, if it was forgotten.
    pub(super) fn take(&self, id: u64) -> Option<Sender> {
        self.waiting.lock().as_mut()?.senders.remove(&id)
    }

    /// Everybody who waits hears that there will be no answer.
    pub(super) fn close(&self, to: RaftId, reason: &str) {
        let Some(waiting) = self.waiting.lock().take() else { return };
        for sender in waiting.senders.into_values() {
            // Who dropped the receiver does not want to know.
            let _ = sender.send(Err(RequestError::Unreachable { to, reason: reason.to_owned() }));
        }
    }
}

/// The session is closed.
#[derive(Debug)]
pub(super) struct Closed;

/// What one peer's requests on one lane may hold here, whatever session they came by.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

/// What a request costs beside its bytes: its task, its future, its place in tables.
const OVERHEAD_BYTES: usize = 512;

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { used: AtomicUsize::new(0), bytes_max }
    }

    /// Room for a request of `bytes`, until it is dropped. One always fits.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let cost = bytes + OVERHEAD_BYTES;
        let add = |used| (used == 0 || used + cost <= self.bytes_max).then_some(used + cost);
        self.used.fetch_update(Relaxed, Relaxed, add).ok()?;
        Some(Charge { budget: Arc::clone(self), cost })
    }
}

/// Room that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    cost: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.cost, Relaxed);
    }
}
