//! Messages for later.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse_cluster::environment::spawn_here;
use tokio::{sync::OwnedSemaphorePermit, task::AbortHandle};

use super::{inner::Inner, mailbox::Asked, monitor::MonitorId, reference::Process};

/// Why a timer was not set. The message will not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// As many run for the process as may. Cancel one of them, or wait.
    #[error("the process has as many timers as it may have")]
    TooMany,
    /// The process lives on another node, which has its timers.
    #[error("the process lives on another node")]
    Elsewhere,
}

/// A message that will be sent. Dropping this changes nothing.
#[derive(Clone, Debug)]
pub struct Timer {
    pending: Pending,
    task: AbortHandle,
}

/// Whoever takes the permit out decides what becomes of the message.
type Pending = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

impl Timer {
    /// Whether the message was not sent and never will be. Otherwise it is in the mailbox, or was handled, or found no room.
    pub fn cancel(&self) -> bool {
        let cancelled = self.pending.lock().take().is_some();
        self.task.abort();
        cancelled
    }
}

/// Sends after a time, unless the process ends before.
pub(super) fn send_after<M: Send + 'static>(
    process: &Process<M>,
    after: Duration,
    message: M,
) -> Result<Timer, TimerError> {
    let process_here = process.here().ok_or(TimerError::Elsewhere)?;
    let permit = process_here.permit_timer().ok_or(TimerError::TooMany)?;
    let pending: Pending = Arc::new(Mutex::new(Some(permit)));
    let (process, fires) = (process.clone(), Arc::clone(&pending));
    let task = spawn_here(async move {
        tokio::select! {
            biased;
            _ = process.ended() => {}
            () = tokio::time::sleep(after) => {
                let permit = fires.lock().take();
                if permit.is_some() {
                    // A mailbox without room counts it as refused.
                    let _ = process.try_cast(message);
                }
            }
        }
    });
    Ok(Timer { pending, task: task.abort_handle() })
}

/// A notice that will come to a process that asked for it itself: it is not counted, and always finds room.
pub(super) struct Alarm {
    id: MonitorId,
    /// Whoever takes it out decides whether the notice comes.
    asked: Arc<Mutex<Option<Asked>>>,
    task: AbortHandle,
}

impl Alarm {
    /// By what its message is known when it is handled.
    pub(super) fn id(&self) -> MonitorId {
        self.id
    }

    /// Ends it; a message that is in the mailbox by now is taken out. One that is just being put there is still handled.
    pub(super) fn cancel<M: Send + 'static>(&self, process: &Inner<M>) {
        let waits = self.asked.lock().take().is_some();
        self.task.abort();
        if !waits {
            process.flush(self.id);
        }
    }
}

/// Sends a notice after a time, unless the process ends before. It is not counted with the timers: a process has few of them, each in a
/// place of its own.
pub(super) fn alarm_after<M: Send + 'static>(process: &Arc<Inner<M>>, after: Duration, message: M) -> Alarm {
    let id = process.next_monitor();
    let asked = Arc::new(Mutex::new(Some(Asked::alarm(id))));
    let (process, rings) = (Arc::clone(process), Arc::clone(&asked));
    let task = spawn_here(async move {
        tokio::select! {
            biased;
            _ = process.life().ended() => {}
            () = tokio::time::sleep(after) => {
                let asked = rings.lock().take();
                if asked.is_some() {
                    // A process that is about to end hears nothing any more.
                    drop(process.notify(message, asked));
                }
            }
        }
    });
    Alarm { id, asked, task: task.abort_handle() }
}
