//! Messages for later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse_cluster::environment::spawn_here;
use tokio::task::AbortHandle;

use super::reference::Process;

const PENDING: u8 = 0;
const FIRED: u8 = 1;
const CANCELLED: u8 = 2;

/// A message that will be sent. Dropping this changes nothing.
#[derive(Clone, Debug)]
pub struct Timer {
    state: Arc<AtomicU8>,
    task: AbortHandle,
}

impl Timer {
    /// Whether the message was not sent and never will be. Otherwise it is in the mailbox, or was handled, or found no room.
    pub fn cancel(&self) -> bool {
        let cancelled = self.state.compare_exchange(PENDING, CANCELLED, SeqCst, SeqCst).is_ok();
        self.task.abort();
        cancelled
    }
}

/// Sends after a time, unless the process ends before.
pub(super) fn send_after<M: Send + 'static>(process: &Process<M>, after: Duration, message: M) -> Timer {
    let state = Arc::new(AtomicU8::new(PENDING));
    let (process, fired) = (process.clone(), Arc::clone(&state));
    let task = spawn_here(async move {
        tokio::select! {
            biased;
            _ = process.ended() => {}
            () = tokio::time::sleep(after) => {
                if fired.compare_exchange(PENDING, FIRED, SeqCst, SeqCst).is_ok() {
                    // A mailbox without room counts it as refused.
                    let _ = process.try_cast(message);
                }
            }
        }
    });
    Timer { state, task: task.abort_handle() }
}
