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
        return one.exit_signal(other.id(), &other.life().afterwards());
    }
    if one.life().link(Arc::clone(other)).is_err() {
        other.life().unlink(one.id());
        return other.exit_signal(one.id(), &one.life().afterwards());
    }
    // It may have ended between the two steps, and then it has told the first one.
    if other.life().exit().is_some() {
        one.life().unlink(other.id());
    }
}

pub(super) fn unlink(one: &dyn Peer, other: &dyn Peer) {
    one.life().unlink(other.id());
    other.life().unlink(one.id());
}
