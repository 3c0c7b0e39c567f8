//! What the node decides for the gateway.

use super::{DrainSignal, RequestLimits, ServerLimits, Tokens, WebSocketLimits};
use crate::telemetry::{Metrics, traces::Traces};

/// Everything about the gateway that is decided outside of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's own name, shown in views.
    pub node: String,
    /// Bounds of the port.
    pub server: ServerLimits,
    /// Bounds of requests.
    pub requests: RequestLimits,
    /// Bounds of WebSocket connections.
    pub websocket: WebSocketLimits,
    /// Who may talk to the node; `None`: everybody who reaches the port.
    pub tokens: Option<Tokens>,
    /// When to finish.
    pub drain: DrainSignal,
    /// Where to count.
    pub metrics: Metrics,
    /// Where spans go.
    pub traces: Traces,
}

impl Options {
    /// Default bounds, no tokens, no traces.
    #[must_use]
    pub fn new(node: impl Into<String>, drain: DrainSignal, metrics: Metrics) -> Self {
        Self {
            node: node.into(),
            server: ServerLimits::default(),
            requests: RequestLimits::default(),
            websocket: WebSocketLimits::default(),
            tokens: None,
            drain,
            metrics,
            traces: Traces::off(),
        }
    }
}
