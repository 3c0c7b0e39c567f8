//! What the kubelet asks a pod, on [`port::OPS`](crate::port::OPS).

/// Whether the process makes progress. One that waits for its cluster does.
pub const LIVE: &str = "/livez";
/// Whether the node should get requests now: it is a member, has caught up, and hears a majority.
pub const READY: &str = "/readyz";
/// Whether the node was taken in once. No probe asks for it: a node that waits for others would be restarted, and wait longer.
pub const STARTED: &str = "/startupz";
/// What Prometheus reads.
pub const METRICS: &str = "/metrics";
