//! What tests of this room have in common.

use std::time::Duration;

use super::{Arrivals, Messages, Operation, Pace, Plan, Transport};

/// A plan that makes sense.
pub(super) fn plan() -> Plan {
    Plan {
        kind: "counter".to_owned(),
        key_prefix: "test-".to_owned(),
        keys: 10,
        operation: Operation::Call,
        messages: Messages::default_of("counter").unwrap(),
        idempotency: true,
        pace: Pace::Open { rate: 1000.0, arrivals: Arrivals::Constant },
        transport: Transport::Websocket,
        connections: 4,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        in_flight_max: 10_000,
    }
}
