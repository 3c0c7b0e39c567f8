//! What this node knows of a process of another one: whether it lives, and who here wants to know when it does not.
//!
//! A mirror ends once: when its node says so, or with the connection. So monitors, links and calls that wait at it are told as they
//! are by a process of this node, and exactly once.

use std::sync::Arc;

use crate::process::{
    ExitReason, ProcessId,
    life::{Life, Mourners},
    link::Peer,
};

pub(super) struct Mirror {
    id: ProcessId,
    life: Life,
}

impl Mirror {
    pub(super) fn new(id: ProcessId) -> Arc<Self> {
        Arc::new(Self { id, life: Life::new() })
    }

    /// Its node says so. `None`: there is no such process.
    pub(super) fn end(&self, reason: Option<ExitReason>) {
        self.tell(self.life.end_elsewhere(reason));
    }

    /// The connection to its node has ended.
    pub(super) fn lose(&self) {
        self.tell(self.life.lose());
    }

    fn tell(&self, mourners: Option<Mourners>) {
        if let Some(mourners) = mourners {
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
