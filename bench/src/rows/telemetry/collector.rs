//! A collector of traces (OTLP over HTTP) that counts spans and forgets them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{Router, extract::DefaultBodyLimit, routing::post};
use bytes::Bytes;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// How many bytes one message may have.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Listens until it is dropped.
pub(super) struct Collector {
    address: SocketAddr,
    spans: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Collector {
    pub(super) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the operating system gives a thread");
        let spans = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&spans);
        let take = move |message: Bytes| {
            let spans = count(&message).expect("nodes send traces");
            counter.fetch_add(spans, Relaxed);
            async {}
        };
        let routes =
            Router::new().route("/v1/traces", post(take)).layer(DefaultBodyLimit::max(MESSAGE_BYTES_MAX));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        drop(runtime.spawn(axum::serve(listener, routes).into_future()));
        Self { address, spans, _runtime: runtime }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many spans have arrived.
    pub(super) fn spans(&self) -> u64 {
        self.spans.load(Relaxed)
    }
}

/// Where spans are in a message of OTLP: in field 2 of field 2 of field 1.
const PATH: [u64; 3] = [1, 2, 2];

/// How many spans a message has; `None` when it is not one.
fn count(message: &[u8]) -> Option<u64> {
    let mut inside = vec![message];
    for field in PATH {
        let mut deeper = Vec::new();
        for mut bytes in inside {
            while !bytes.is_empty() {
                let (number, content) = take_field(&mut bytes)?;
                deeper.extend(content.filter(|_| number == field));
            }
        }
        inside = deeper;
    }
    u64::try_from(inside.len()).ok()
}

/// The next field of a protobuf message: its number, and what is in it if it has a length.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = take_varint(bytes)?;
    let content = match tag & 7 {
        0 => {
            take_varint(bytes)?;
            None
        }
        1 => bytes.split_off(..8).and(None),
        2 => {
            let length = usize::try_from(take_varint(bytes)?).ok()?;
            Some(bytes.split_off(..length)?)
        }
        5 => bytes.split_off(..4).and(None),
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn spans_are_counted_and_nothing_else() {
        let scope = [field(1, b"scope"), field(2, b"one"), field(2, b"two")].concat();
        let resource = [field(1, b"resource"), field(2, &scope), field(2, &scope)].concat();
        assert_eq!(count(&field(1, &resource)), Some(4));
        assert_eq!(count(&[field(1, &resource), field(9, &resource)].concat()), Some(4));
        assert_eq!(count(b""), Some(0));
        assert_eq!(count(&[0x0a, 0x09, 0x00]), None);
    }
}
