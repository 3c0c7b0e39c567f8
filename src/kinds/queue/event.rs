//! What happened to a queue, and what becomes of it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{Dead, Lease, Queue, Settings, Waiting, What, cost};
use crate::protocol::Json;

/// What happened to a queue. Stored; a change of its shape is a new schema version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Leases that had lapsed by then ended.
    Settled {
        /// In milliseconds of the shard's clock.
        at_ms: u64,
    },
    /// It was configured.
    Configured(Settings),
    /// Items were put at the end, numbered on from the last.
    Pushed {
        /// In this order.
        items: Vec<Json>,
        /// When they can be leased.
        visible_at_ms: u64,
    },
    /// Items were leased, with tokens counted on from the last.
    Leased {
        /// In the order of their tokens.
        ids: Vec<u64>,
        /// When the leases lapse.
        until_ms: u64,
        /// By whom.
        consumer: Option<CompactString>,
    },
    /// An item is done.
    Acked {
        /// Its lease.
        token: u64,
    },
    /// An item failed.
    Nacked {
        /// Its lease.
        token: u64,
        /// When.
        at_ms: u64,
        /// When it can be leased again, unless that was the last attempt.
        visible_at_ms: u64,
    },
    /// A lease holds longer, or shorter.
    Extended {
        /// Which lease.
        token: u64,
        /// When it lapses.
        until_ms: u64,
    },
    /// Dead letters are waiting again.
    Redriven {
        /// Which items.
        ids: Vec<u64>,
    },
    /// Items were removed.
    Purged {
        /// Which.
        what: What,
    },
}

/// What events do.
impl Queue {
    pub(super) fn settle(&mut self, at_ms: u64) {
        let lapsed = self.leases.iter().filter(|(_, lease)| lease.until_ms <= at_ms);
        let lapsed: Vec<(u64, u64)> = lapsed.map(|(token, lease)| (*token, lease.until_ms)).collect();
        for (token, until_ms) in lapsed {
            self.failed(token, until_ms, until_ms);
        }
    }

    pub(super) fn pushed(&mut self, item: Json, visible_at_ms: u64) {
        self.last_id += 1;
        self.bytes += cost(&item);
        self.waiting.insert(self.last_id, Waiting { item, attempts: 0, visible_at_ms });
    }

    pub(super) fn leased(&mut self, id: u64, until_ms: u64, consumer: Option<CompactString>) {
        self.last_token += 1;
        if let Some(Waiting { item, attempts, .. }) = self.waiting.remove(&id) {
            let attempts = attempts + 1;
            let is_last = attempts >= self.settings.max_attempts;
            self.leases.insert(self.last_token, Lease { id, item, attempts, until_ms, is_last, consumer });
        }
    }

    pub(super) fn acked(&mut self, token: u64) {
        if let Some(lease) = self.leases.remove(&token) {
            self.bytes -= cost(&lease.item);
        }
    }

    pub(super) fn failed(&mut self, token: u64, at_ms: u64, visible_at_ms: u64) {
        let Some(Lease { id, item, attempts, is_last, .. }) = self.leases.remove(&token) else { return };
        if is_last {
            self.dead.insert(id, Dead { item, attempts, died_at_ms: at_ms });
        } else {
            self.waiting.insert(id, Waiting { item, attempts, visible_at_ms });
        }
    }

    pub(super) fn redriven(&mut self, id: u64) {
        if let Some(Dead { item, .. }) = self.dead.remove(&id) {
            self.waiting.insert(id, Waiting { item, attempts: 0, visible_at_ms: 0 });
        }
    }

    pub(super) fn purged(&mut self, what: What) {
        if matches!(what, What::Waiting | What::All) {
            self.waiting.clear();
        }
        if matches!(what, What::Dead | What::All) {
            self.dead.clear();
        }
        if what == What::All {
            self.leases.clear();
        }
        self.bytes = self.items().map(cost).sum();
    }

    fn items(&self) -> impl Iterator<Item = &Json> {
        let waiting = self.waiting.values().map(|waiting| &waiting.item);
        let leased = self.leases.values().map(|lease| &lease.item);
        waiting.chain(leased).chain(self.dead.values().map(|dead| &dead.item))
    }
}
