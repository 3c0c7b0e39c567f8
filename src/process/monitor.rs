//! Monitors: a message, exactly once, when another process has ended.

use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::{
    ExitReason, ProcessId,
    life::NoticeId,
    link::Peer,
    reference::{Inner, Place, Process},
};

/// How an observer is told: the way of its messages, and how one of them is taken back.
struct Observer<M> {
    id: MonitorId,
    tell: Box<dyn FnOnce(M) + Send>,
    flush: Box<dyn Fn() -> bool + Send + Sync>,
}

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
    let Observer { id, tell, flush } = Observer::of(observer);
    let process = target.id();
    let tell = move |reason: &ExitReason| {
        tell(message(Down { monitor: id, process, reason: reason.clone() }));
    };
    let target = match target.peer() {
        Ok(target) => target,
        Err(reason) => {
            tell(&reason);
            return Monitor { id, notice: None, target: Weak::<Inner<N>>::new(), flush };
        }
    };
    // Shared between the target, if it lives, and this function, if it does not: whoever comes first says so.
    let tell = Arc::new(parking_lot::Mutex::new(Some(tell)));
    let notice = Arc::clone(&tell);
    let notice = target.life().watch(Box::new(move |reason| {
        if let Some(tell) = notice.lock().take() {
            tell(reason);
        }
    }));
    if notice.is_none()
        && let Some(tell) = tell.lock().take()
    {
        tell(&target.life().afterwards());
    }
    Monitor { id, notice, target: Arc::downgrade(&target), flush }
}

impl<M: Send + 'static> Observer<M> {
    /// A target does not keep it alive.
    fn of(process: &Process<M>) -> Self {
        match process.place() {
            Place::Here(inner) => Self::here(inner),
            Place::There(far) => {
                let (id, far) = (far.next_monitor(), Arc::clone(far));
                let tell = Box::new(move |message| {
                    // A process of another node that is gone does not want to know.
                    let _ = far.cast(&message);
                });
                Self { id, tell, flush: Box::new(|| false) }
            }
        }
    }

    fn here(inner: &Arc<Inner<M>>) -> Self {
        let id = inner.next_monitor();
        let (told, flushed) = (Arc::downgrade(inner), Arc::downgrade(inner));
        let tell = Box::new(move |message| {
            if let Some(observer) = told.upgrade() {
                observer.notify(message, Some(id));
            }
        });
        let flush = move || flushed.upgrade().is_some_and(|observer: Arc<Inner<M>>| observer.flush(id));
        Self { id, tell, flush: Box::new(flush) }
    }
}
