//! Counters of the gateway, with the labels of the usual cases already looked up: that hashes strings and takes a lock, which
//! is too dear for every request.

use std::{sync::OnceLock, time::Duration};

use axum::http::StatusCode;
use prometheus::{Histogram, IntCounter};

use super::operation::Operation;
use crate::telemetry::Metrics;

/// What a frame of a WebSocket connection asks for; a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Call,
    Cast,
    Subscribe,
    Unsubscribe,
    Invalid,
}

impl FrameKind {
    const COUNT: usize = 5;

    fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Cast => "cast",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Invalid => "invalid",
        }
    }
}

/// Counts requests and frames. Nothing is shown before it has happened once.
pub(super) struct Counts {
    metrics: Metrics,
    succeeded: [OnceLock<IntCounter>; Operation::ALL.len()],
    seconds: [OnceLock<Histogram>; Operation::ALL.len()],
    frames: [OnceLock<IntCounter>; FrameKind::COUNT],
}

impl Counts {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            succeeded: Default::default(),
            seconds: Default::default(),
            frames: Default::default(),
        }
    }

    /// A request was answered; by nobody, if it has no route.
    pub(super) fn answered(&self, operation: Option<Operation>, status: StatusCode, took: Duration) {
        let route = operation.map_or("none", Operation::id);
        let look_up = || self.metrics.gateway_requests.with_label_values(&[route, status.as_str()]);
        match operation.filter(|operation| operation.success() == status) {
            Some(operation) => self.succeeded[operation as usize].get_or_init(look_up).inc(),
            None => look_up().inc(),
        }
        let look_up = || self.metrics.gateway_request_seconds.with_label_values(&[route]);
        match operation {
            Some(operation) => {
                self.seconds[operation as usize].get_or_init(look_up).observe(took.as_secs_f64());
            }
            None => look_up().observe(took.as_secs_f64()),
        }
    }

    /// A frame arrived.
    pub(super) fn frame(&self, kind: FrameKind) {
        let look_up = || self.metrics.websocket_frames.with_label_values(&[kind.label()]);
        self.frames[kind as usize].get_or_init(look_up).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_and_failure_of_an_operation_are_counted_apart() {
        let metrics = Metrics::new("test");
        let counts = Counts::new(metrics.clone());
        for status in [StatusCode::ACCEPTED, StatusCode::OK, StatusCode::ACCEPTED] {
            counts.answered(Some(Operation::Cast), status, Duration::ZERO);
        }
        counts.answered(None, StatusCode::NOT_FOUND, Duration::ZERO);
        let count = |route, status| metrics.gateway_requests.with_label_values(&[route, status]).get();
        assert_eq!((count("cast", "202"), count("cast", "200"), count("none", "404")), (2, 1, 1));
        assert_eq!(metrics.gateway_request_seconds.with_label_values(&["cast"]).get_sample_count(), 3);
    }

    #[test]
    fn frames_are_counted_by_what_they_ask_for() {
        let metrics = Metrics::new("test");
        let counts = Counts::new(metrics.clone());
        for kind in [FrameKind::Call, FrameKind::Invalid, FrameKind::Call] {
            counts.frame(kind);
        }
        let count = |frame| metrics.websocket_frames.with_label_values(&[frame]).get();
        assert_eq!((count("call"), count("invalid")), (2, 1));
    }
}
