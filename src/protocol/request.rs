//! One message on its way to an entity, and what comes back.

use std::{fmt, time::Duration};

use bytes::Bytes;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{Body, EntityId};

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Names a request in logs, traces and `Request-Id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub CompactString);

impl RequestId {
    /// 128 random bits as 32 hexadecimal digits.
    #[must_use]
    pub fn random(environment: &playhouse_cluster::environment::Environment) -> Self {
        let mut digits = [0; 32];
        // Each request has one, so it is not left to the general way of writing numbers.
        for (pair, byte) in digits.chunks_exact_mut(2).zip(environment.random_u128().to_be_bytes()) {
            pair[0] = HEXADECIMAL[usize::from(byte >> 4)];
            pair[1] = HEXADECIMAL[usize::from(byte & 0xf)];
        }
        Self(std::str::from_utf8(&digits).expect("hexadecimal digits are text").into())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// W3C trace context, as it came in and as it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The value of `traceparent`.
    pub traceparent: CompactString,
    /// The value of `tracestate`, if any.
    pub tracestate: Option<CompactString>,
}

/// A call or cast to an entity, before it is routed.
#[derive(Clone, Debug)]
pub struct Request {
    /// To whom.
    pub target: EntityId,
    /// The command.
    pub body: Body,
    /// Its name in logs and traces.
    pub request_id: RequestId,
    /// Given by the client: at most one effect per key and entity within the window, and the first reply again.
    pub idempotency_key: Option<CompactString>,
    /// How long the caller waits.
    pub timeout: Duration,
    /// The trace that this request belongs to.
    pub trace: Option<TraceContext>,
}

/// What an entity answered, after everything it saw was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// In the content type of the request.
    pub body: Bytes,
    /// How many times the entity had changed when it answered.
    pub revision: u64,
}
