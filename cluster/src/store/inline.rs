//! A writer without a thread, for an engine in memory: the caller writes, so a simulation stays deterministic.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    config::SPACE_RETRY,
    disk::DiskCall,
    writer::{Shared, Step, Writer},
};

/// Writes on the caller's task; waits (for a simulated disk, or for space) on tokio's clock.
pub(super) struct Inline {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    writer: Writer,
    /// Whether a task already sleeps until the next sync.
    sync_is_due: bool,
}

impl Inline {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        let state = State { writer: Writer::new(shared.clone()), sync_is_due: false };
        Arc::new(Self { shared, state: Mutex::new(state) })
    }

    /// Writes all that waits. Called by whoever added the first request.
    pub(super) fn drive(self: &Arc<Self>) {
        loop {
            let (step, woken) = self.state.lock().writer.write_next();
            woken.wake();
            match step {
                Step::Wrote => self.sync_after(self.shared.engine.latency()),
                Step::Stalled => return self.retry_later(),
                Step::Idle if self.shared.queue.end_drive() => return,
                Step::Idle => (),
            }
        }
    }

    fn sync_after(self: &Arc<Self>, latency: Duration) {
        if latency.is_zero() {
            return self.sync();
        }
        let mut state = self.state.lock();
        if !state.writer.needs_sync() || std::mem::replace(&mut state.sync_is_due, true) {
            return;
        }
        drop(state);
        self.shared.disk.begin(DiskCall::Sync, self.shared.environment.now());
        let inline = self.clone();
        self.shared.environment.spawn(async move {
            tokio::time::sleep(latency).await;
            inline.sync();
        });
    }

    fn sync(&self) {
        let mut state = self.state.lock();
        state.sync_is_due = false;
        let woken = state.writer.sync();
        drop(state);
        woken.wake();
    }

    fn retry_later(self: &Arc<Self>) {
        let inline = self.clone();
        self.shared.environment.spawn(async move {
            tokio::time::sleep(SPACE_RETRY).await;
            if inline.shared.queue.is_closed() {
                inline.state.lock().writer.give_up_stalled().wake();
            }
            inline.drive();
        });
    }

    /// Makes everything durable that was written.
    pub(super) fn finish(&self) {
        let woken = self.state.lock().writer.finish();
        woken.wake();
    }
}
