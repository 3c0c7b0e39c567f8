//! Links: two processes that end together, unless one of them wants to hear of it instead.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ExitReason, ProcessId, life::Life};

/// A process that was linked has ended, and this one traps exits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Which process ended.
    pub process: ProcessId,
    /// Why.
    pub reason: ExitReason,
}

/// A process, whatever messages it takes.
pub(super) trait Peer: Send + Sync {
    fn id(&self) -> ProcessId;

    fn life(&self) -> &Life;

    /// A linked process ended. It is a message for who traps exits; others end, too, unless the reason is `normal`.
    fn exit_signal(&self, from: ProcessId, reason: &ExitReason);
}

/// Links two processes; once more changes nothing. One that has ended already is a signal `noproc` to the other.
pub(super) fn link(one: &Arc<dyn Peer>, other: &Arc<dyn Peer>) {
    if one.id() == other.id() {
        return;
    }
    if other.life().link(Arc::clone(one)).is_err() {
        // A link from before: its signal is on its way.
        if !one.life().is_linked(other.id()) {
            one.exit_signal(other.id(), &other.life().afterwards());
        }
        return;
    }
    if one.life().link(Arc::clone(other)).is_err() {
        return signal(other, one.id(), &ExitReason::NoProc);
    }
    // It may have ended between the two steps, and then it found no link to give its signal to.
    if let Some(reason) = other.life().exit() {
        signal(one, other.id(), &reason);
    }
}

/// Tells a process that the other one has ended, unless it was told or does not want to know any more.
pub(super) fn signal(process: &Arc<dyn Peer>, ended: ProcessId, reason: &ExitReason) {
    if process.life().unlink(ended) {
        process.exit_signal(ended, reason);
    }
}

pub(super) fn unlink(one: &dyn Peer, other: &dyn Peer) {
    one.life().unlink(other.id());
    other.life().unlink(one.id());
}
