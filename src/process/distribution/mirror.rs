//! What this node knows of a process of another one: whether it lives, and who here wants to know when it does not.
//!
//! A mirror ends once: when its node says so, or with the connection. So monitors, links and calls that wait at it are told as they
//! are by a process of this node, and exactly once.

use std::sync::Arc;

use crate::process::{ExitReason, ProcessId, life::Life, link::Peer};

pub(super) struct Mirror {
    id: ProcessId,
    life: Life,
}

impl Mirror {
    pub(super) fn new(id: ProcessId) -> Arc<Self> {
        Arc::new(Self { id, life: Life::new() })
    }

    pub(super) fn end(&self, reason: ExitReason) {
        if let Some(mourners) = self.life.end_as(reason) {
            mourners.tell(self.id);
        }
    }

    /// Whether nobody but the table of mirrors has it, and nobody waits for its end.
    pub(super) fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.life.is_unwatched()
    }
}

impl Peer for Mirror {
    fn id(&self) -> ProcessId {
        self.id
    }

    fn life(&self) -> &Life {
        &self.life
    }

    /// Its own node watches whoever it is linked to, and signals it there.
    fn exit_signal(&self, _: ProcessId, _: &ExitReason) {}
}
