//! What the link counted since it started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{LaneClass, hello::RefusalKind};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }
}

/// What passed on the lanes of one class.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes that were read, encryption included.
    pub bytes_in: Counter,
    /// Bytes that were written, encryption included.
    pub bytes_out: Counter,
    /// Frames that were read.
    pub frames_in: Counter,
    /// Frames that were handed to the writer.
    pub frames_out: Counter,
}

/// All counters.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Incoming connections.
    pub accepted: Counter,
    /// Connections that we tried to open.
    pub dialed: Counter,
    /// Dialed connections that failed, for whatever reason.
    pub dial_failures: Counter,
    /// Handshakes with a cookie that the other end does not have.
    pub authentication_failures: Counter,
    /// Handshakes whose beginning was right, but whose sender could not go on: a replay, or a node that went away.
    pub unproven: Counter,
    /// Handshakes that were not one: other protocols, too long messages.
    pub garbage_handshakes: Counter,
    /// Handshakes that took too long.
    pub handshake_timeouts: Counter,
    /// Incoming connections that were closed because too many were in their handshake.
    pub half_open_refused: Counter,
    /// Discovered addresses that were not dialed because there are too many.
    pub addresses_refused: Counter,
    /// Sessions that were opened.
    pub sessions_opened: Counter,
    /// Sessions that were closed.
    pub sessions_closed: Counter,
    /// Control lanes that were opened to a peer to which one had been open before.
    pub reconnects: Counter,
    /// Sessions that were closed because nobody answered.
    pub silent_closed: Counter,
    /// Sessions that were closed because nothing could be written, or a lane did not answer.
    pub stalled_closed: Counter,
    /// Frames that were larger than allowed; each cost a session.
    pub oversized_frames: Counter,
    /// Frames or messages without sense; each cost a session.
    pub garbage_frames: Counter,
    /// Requests of peers that were answered with `Full`.
    pub requests_refused: Counter,
    refused: [Counter; RefusalKind::ALL.len()],
    refused_by_peer: [Counter; RefusalKind::ALL.len()],
    traffic: [Traffic; LaneClass::ALL.len()],
}

impl Statistics {
    /// How often we refused a peer for that reason.
    #[must_use]
    pub fn refused(&self, reason: RefusalKind) -> &Counter {
        &self.refused[reason as usize]
    }

    /// How often a peer refused us for that reason.
    #[must_use]
    pub fn refused_by_peer(&self, reason: RefusalKind) -> &Counter {
        &self.refused_by_peer[reason as usize]
    }

    /// What passed on the lanes of that class.
    #[must_use]
    pub fn traffic(&self, class: LaneClass) -> &Traffic {
        &self.traffic[class as usize]
    }
}
