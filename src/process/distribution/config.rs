//! Bounds of what processes of different nodes say to each other.

/// The bounds of a [`Distribution`](super::Distribution). All nodes should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest message, answer or argument of a spawn, encoded. Keep it below the `frame_bytes_max` of the links of all nodes.
    pub message_bytes_max: usize,
    /// How many bytes of messages may wait to be sent to one node. Past this a sender is refused with `Full`.
    pub waiting_bytes_max: usize,
    /// How many bytes of answers and of news of ends may wait to be sent to one node. Each was asked for, so none may be dropped:
    /// past this the connection is closed, which both nodes see as `noconnection`.
    pub signals_bytes_max: usize,
    /// How many calls to one node may be unanswered. Past this a call is refused with `Full`.
    pub calls_max: usize,
    /// How many processes of one node may be watched by monitors, links and calls, and how many of this one by that one. Past this the
    /// connection is closed.
    pub watched_max: usize,
    /// How many processes of this node may be known to others. Past this a reference to one more cannot be sent.
    pub exported_max: usize,
    /// How many spawns that peers asked for may be under way. Past this they are refused.
    pub spawns_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            waiting_bytes_max: 16 << 20,
            signals_bytes_max: 64 << 20,
            calls_max: 65_536,
            watched_max: 1_000_000,
            exported_max: 10_000_000,
            spawns_max: 1_024,
        }
    }
}
