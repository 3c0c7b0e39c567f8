//! Monitors: a message, exactly once, when another process has ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    ExitReason, ProcessId, inner::Inner, life::NoticeId, link::Peer, mailbox::Asked, reference::Process,
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

/// Why a monitor was not set. Nothing will be told of the other process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// There are as many as the process may have. End one of them, or handle the messages of those that told.
    #[error("the process has as many monitors as it may have")]
    TooMany,
    /// A process watches others from its own node: send it the reference.
    #[error("the process that is to be told lives on another node")]
    Elsewhere,
}

/// A monitor that was set. Dropping it changes nothing: the message still comes.
pub struct Monitor {
    id: MonitorId,
    watch: Arc<dyn Watch>,
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
        self.watch.cancel()
    }

    /// Ends it, and takes its message out of the mailbox: after this, no message of it is handled.
    ///
    /// Whether no message of it was handled before, either. (A process calls this from its own handlers.)
    pub fn demonitor_flush(&self) -> bool {
        self.watch.cancel() || self.watch.flush()
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
) -> Result<Monitor, MonitorError>
where
    M: Send + 'static,
    N: Send + 'static,
{
    let observer = observer.here().ok_or(MonitorError::Elsewhere)?;
    let permit = observer.permit_monitor().ok_or(MonitorError::TooMany)?;
    let (id, peer) = (observer.next_monitor(), target.peer());
    let nobody: Weak<dyn Peer> = Weak::<Inner<N>>::new();
    let vigil = Arc::new(Vigil {
        id,
        process: target.id(),
        target: peer.as_ref().map_or(nobody, Arc::downgrade),
        observer: Arc::downgrade(observer),
        state: Mutex::new(State {
            stage: Stage::Waiting(message),
            permit: Some(permit),
            told_by: None,
            ended_by: None,
        }),
    });
    let tells = Arc::clone(&vigil);
    match peer {
        Ok(target) => match target.life().watch(Box::new(move |reason| tells.tell(reason))) {
            Some(notice) => vigil.end_with_observer(notice),
            None => vigil.tell(&target.life().afterwards()),
        },
        // Of a process of another node that is known to be gone, or whose node is.
        Err(reason) => vigil.tell(&reason),
    }
    Ok(Monitor { id, watch: vigil })
}

/// A monitor, whatever messages its observer takes.
trait Watch: Send + Sync {
    /// Whether the message was not sent and never will be.
    fn cancel(&self) -> bool;

    /// Takes the message out of the mailbox. Whether it was there.
    fn flush(&self) -> bool;
}

/// A monitor from when it is set until it has told. Neither of the two processes keeps the other alive by it.
struct Vigil<M, F> {
    id: MonitorId,
    process: ProcessId,
    target: Weak<dyn Peer>,
    observer: Weak<Inner<M>>,
    /// The message is put into the mailbox under this lock, so that whoever ends the monitor knows whether it was. It is made, and
    /// dropped, outside of it.
    state: Mutex<State<F>>,
}

struct State<F> {
    stage: Stage<F>,
    /// It counts until it is ended, or its message is handled.
    permit: Option<OwnedSemaphorePermit>,
    /// The notice of the target that tells.
    told_by: Option<NoticeId>,
    /// The notice of the observer that ends the monitor: a target would remember all those who ever looked at it.
    ended_by: Option<NoticeId>,
}

enum Stage<F> {
    /// This makes the message.
    Waiting(F),
    /// The message is being made.
    Telling,
    /// It told, or was ended before.
    Over,
}

impl<M, F> Vigil<M, F>
where
    M: Send + 'static,
    F: FnOnce(Down) -> M + Send + 'static,
{
    /// From now on, it ends with its observer as well.
    fn end_with_observer(self: &Arc<Self>, told_by: NoticeId) {
        let ends = Arc::clone(self);
        let ended_by = self.observer.upgrade().and_then(|observer| {
            observer.life().watch(Box::new(move |_| {
                ends.cancel();
            }))
        });
        let is_over = {
            let mut state = self.state.lock();
            (state.told_by, state.ended_by) = (Some(told_by), ended_by);
            matches!(state.stage, Stage::Over)
        };
        if is_over || ended_by.is_none() {
            self.cancel();
        }
    }

    fn tell(&self, reason: &ExitReason) {
        let Some(message) = self.begin() else { return };
        let Some(observer) = self.observer.upgrade() else { return };
        let down = Down { monitor: self.id, process: self.process, reason: reason.clone() };
        match catch_unwind(AssertUnwindSafe(|| message(down))) {
            Ok(message) => self.finish(&observer, message),
            Err(panic) => observer.crash(ExitReason::of_panic(panic.as_ref())),
        }
    }

    fn begin(&self) -> Option<F> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.stage, Stage::Telling) {
            Stage::Waiting(message) => Some(message),
            other => {
                state.stage = other;
                None
            }
        }
    }

    fn finish(&self, observer: &Inner<M>, message: M) {
        let mut state = self.state.lock();
        // It may have been ended while the message was made.
        let unread = match state.permit.take() {
            Some(permit) => observer.notify(message, Some(Asked::new(self.id, permit))).err(),
            None => Some(message),
        };
        state.stage = Stage::Over;
        let ended_by = state.ended_by.take();
        drop(state);
        drop(unread);
        self.forget(None, ended_by);
    }

    /// Takes back what the two processes know of it.
    fn forget(&self, told_by: Option<NoticeId>, ended_by: Option<NoticeId>) {
        if let Some((target, notice)) = self.target.upgrade().zip(told_by) {
            target.life().unwatch(notice);
        }
        if let Some((observer, notice)) = self.observer.upgrade().zip(ended_by) {
            observer.life().unwatch(notice);
        }
    }
}

impl<M, F> Watch for Vigil<M, F>
where
    M: Send + 'static,
    F: FnOnce(Down) -> M + Send + 'static,
{
    fn cancel(&self) -> bool {
        let (stage, told_by, ended_by) = {
            let mut state = self.state.lock();
            let stage = std::mem::replace(&mut state.stage, Stage::Over);
            state.permit = None;
            (stage, state.told_by.take(), state.ended_by.take())
        };
        self.forget(told_by, ended_by);
        !matches!(stage, Stage::Over)
    }

    fn flush(&self) -> bool {
        self.observer.upgrade().is_some_and(|observer| observer.flush(self.id))
    }
}
