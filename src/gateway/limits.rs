//! The bounds of the gateway, in time, bytes and count.

use std::{num::NonZeroU32, time::Duration};

/// Bounds of one port. Reaching one is an answer or a closed connection, and a metric; never silence.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// How many connections may be open. The next ones are answered 503 and closed.
    ///
    /// Each costs about 20 KiB while idle; keep it below the process's limit of open files.
    pub connections_max: NonZeroU32,
    /// How long the head of a request may take, from its first byte (for the first one: from the connection's begin).
    pub head_timeout: Duration,
    /// How many bytes the head of a request may have; at least 8 KiB.
    pub head_bytes_max: usize,
    /// How long a connection may stay silent between two requests.
    ///
    /// Keep this above the idle time of the load balancer in front, or it meets closed connections.
    pub idle_timeout: Duration,
    /// How long the peer may take no bytes while some wait for it.
    pub write_timeout: Duration,
    /// How long a drain may take. Connections that are still open then are cut.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: NonZeroU32::new(10_000).expect("10,000 is not zero"),
            head_timeout: Duration::from_secs(10),
            head_bytes_max: 32 * 1024,
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Bounds of requests.
#[derive(Clone, Debug)]
pub struct RequestLimits {
    /// How many bytes the body of a command may have; also the size of a WebSocket frame.
    pub body_bytes_max: usize,
    /// How many bytes all bodies that are being read or executed may have together. The next request is `overloaded`.
    pub bodies_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a caller waits that says nothing else.
    pub timeout_default: Duration,
    /// How long a caller may ask to wait. Must be below the idempotency window, or a retry could come too late.
    pub timeout_max: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            timeout_default: Duration::from_secs(10),
            timeout_max: Duration::from_secs(60),
        }
    }
}

/// Bounds of one WebSocket connection.
#[derive(Clone, Debug)]
pub struct WebSocketLimits {
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long the client may send nothing, not even a pong.
    pub silence_max: Duration,
    /// How many messages may wait to be sent.
    pub queue_messages_max: usize,
    /// How many bytes may wait to be sent. One message may exceed it alone.
    pub queue_bytes_max: usize,
    /// How long a full send queue may stand still before the connection is closed with 1013.
    pub stall_timeout: Duration,
    /// How many requests may be under way. The next one is answered `overloaded`.
    pub requests_max: usize,
    /// How many subscriptions may be open. The next one is answered `overloaded`.
    pub subscriptions_max: usize,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
            queue_messages_max: 256,
            queue_bytes_max: 4 * 1024 * 1024,
            stall_timeout: Duration::from_secs(10),
            requests_max: 4096,
            subscriptions_max: 1024,
        }
    }
}
