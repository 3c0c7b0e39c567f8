//! Monitors: a message, exactly once, when another process has ended.

use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::{
    ExitReason, ProcessId,
    life::NoticeId,
    link::Peer,
    reference::{Inner, Process},
};

/// Names a monitor within the process that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonitorId(pub(super) u64);

/// A process that was monitored has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Which monitor says so.
    pub monitor: MonitorId,
    /// Which process ended.
    pub process: ProcessId,
    /// Why; [`ExitReason::NoProc`] if it had ended before it was monitored.
    pub reason: ExitReason,
}

/// A monitor that was set. Dropping it changes nothing: the message still comes.
pub struct Monitor {
    id: MonitorId,
    /// `None`: the process had ended before.
    notice: Option<NoticeId>,
    target: Weak<dyn Peer>,
    flush: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Monitor {
    /// What its message will carry.
    #[must_use]
    pub fn id(&self) -> MonitorId {
        self.id
    }

    /// Ends it. If the message is in the mailbox by now, it stays there.
    ///
    /// Whether the message was not sent and never will be.
    pub fn demonitor(&self) -> bool {
        let target = self.target.upgrade();
        self.notice.zip(target).is_some_and(|(notice, target)| target.life().unwatch(notice))
    }

    /// Ends it, and takes its message out of the mailbox: after this, no message of it is handled.
    ///
    /// Whether no message of it was handled before, either. (A process calls this from its own handlers.)
    pub fn demonitor_flush(&self) -> bool {
        self.demonitor() || (self.flush)()
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Monitor").field(&self.id.0).finish()
    }
}

/// Sets a monitor of `target`, whose end becomes a message of `observer`.
pub(super) fn monitor<M, N>(
    observer: &Process<M>,
    target: &Process<N>,
    message: impl FnOnce(Down) -> M + Send + 'static,
) -> Monitor
where
    M: Send + 'static,
    N: Send + 'static,
{
    let id = observer.inner().next_monitor();
    let process = target.id();
    // The target does not keep the observer alive.
    let (told, flushed) = (Arc::downgrade(observer.inner()), Arc::downgrade(observer.inner()));
    let tell = move |reason: &ExitReason| {
        if let Some(observer) = told.upgrade() {
            drop(observer.notify(message(Down { monitor: id, process, reason: reason.clone() }), Some(id)));
        }
    };
    let flush = move || flushed.upgrade().is_some_and(|observer: Arc<Inner<M>>| observer.flush(id));
    // Shared between the target, if it lives, and this function, if it does not: whoever comes first says so.
    let tell = Arc::new(parking_lot::Mutex::new(Some(tell)));
    let notice = Arc::clone(&tell);
    let notice = target.inner().life().watch(Box::new(move |reason| {
        if let Some(tell) = notice.lock().take() {
            tell(reason);
        }
    }));
    if notice.is_none()
        && let Some(tell) = tell.lock().take()
    {
        tell(&ExitReason::NoProc);
    }
    let target: Arc<dyn Peer> = Arc::<Inner<N>>::clone(target.inner());
    Monitor { id, notice, target: Arc::downgrade(&target), flush: Box::new(flush) }
}
