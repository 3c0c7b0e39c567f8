//! What waits for the writer.

use std::{collections::VecDeque, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::{
    Statistics, StoreError,
    request::{Request, Round},
};

/// Batches in the order in which they will be written, bounded in bytes.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer's thread.
    work: Condvar,
    /// Wakes callers that wait for room.
    room: Notify,
    bytes_max: usize,
    statistics: Arc<Statistics>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    /// Why nothing more is accepted.
    closed: Option<StoreError>,
    /// Whether somebody already takes rounds, in a store without a thread.
    driven: bool,
}

impl Queue {
    pub(super) fn new(bytes_max: usize, statistics: Arc<Statistics>) -> Self {
        let (state, work, room) = (Mutex::default(), Condvar::new(), Notify::new());
        Self { state, work, room, bytes_max, statistics }
    }

    /// Returns when there is room, or nothing more is accepted.
    pub(super) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.bytes < self.bytes_max || state.closed.is_some()
    }

    /// Adds a request behind all others. Returns whether the caller must now drive the writer; a store with a
    /// thread never needs that. A request that is not accepted is given back with the reason.
    pub(super) fn push(&self, request: Request) -> Result<bool, Box<(Request, StoreError)>> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.closed {
            return Err(Box::new((request, reason.clone())));
        }
        self.count(&mut state, |bytes| bytes + request.batch.bytes());
        state.waiting.push_back(request);
        self.work.notify_one();
        Ok(!std::mem::replace(&mut state.driven, true))
    }

    /// What is written next, if anything waits.
    pub(super) fn take(&self, round_bytes_max: usize) -> Option<Round> {
        let mut state = self.state.lock();
        let round = Round::drain(&mut state.waiting, round_bytes_max)?;
        self.count(&mut state, |bytes| bytes - round.batch.bytes());
        drop(state);
        self.room.notify_waiters();
        Some(round)
    }

    /// Blocks until something waits or, at the longest, `timeout`. Returns false when the queue is closed and
    /// nothing waits.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && state.closed.is_none() {
            match timeout {
                Some(timeout) => drop(self.work.wait_for(&mut state, timeout)),
                None => self.work.wait(&mut state),
            }
        }
        !state.waiting.is_empty() || state.closed.is_none()
    }

    /// Blocks for `timeout`, or until the queue is closed. Returns whether it is closed.
    pub(super) fn pause(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        let closed = |state: &mut State| state.closed.is_some();
        self.work.wait_while_for(&mut state, |state| !closed(state), timeout);
        closed(&mut state)
    }

    /// Ends a drive. Returns false when something waits, so that it must go on.
    pub(super) fn end_drive(&self) -> bool {
        let mut state = self.state.lock();
        state.driven = !state.waiting.is_empty();
        !state.driven
    }

    /// Accepts nothing more; what waits is still written. The first reason stays.
    pub(super) fn close(&self, reason: StoreError) {
        self.state.lock().closed.get_or_insert(reason);
        self.work.notify_all();
        self.room.notify_waiters();
    }

    /// Whether nothing more is accepted.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }

    fn count(&self, state: &mut State, change: impl FnOnce(usize) -> usize) {
        state.bytes = change(state.bytes);
        self.statistics.queue_bytes.store(state.bytes as u64, Relaxed);
    }
}
