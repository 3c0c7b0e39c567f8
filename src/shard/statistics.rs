//! What an executor counted.

use crate::entity::TableStatistics;

/// What the executor of one shard counted since its term began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStatistics {
    /// Commands executed, refused ones included.
    pub executed: u64,
    /// Commands with effects.
    pub written: u64,
    /// Requests answered from a kept reply.
    pub repeated: u64,
    /// Proposals made.
    pub proposals: u64,
    /// Timers fired.
    pub timers_fired: u64,
    /// Timers that wait for another release, each time they were due.
    pub timers_deferred: u64,
    /// Messages that could not be delivered.
    pub dead_letters: u64,
    /// Casts in the outbox.
    pub outbox: usize,
    /// Proposals on their way.
    pub in_flight: usize,
    /// What idempotency records take, in bytes.
    pub idempotency_bytes: u64,
    /// Subscribers.
    pub subscribers: usize,
    /// Handlers that ran longer than 100 ms.
    pub slow_handlers: u64,
    /// Residents of all kinds.
    pub tables: TableStatistics,
}
