//! Reading a body within bounds of size, time and memory.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{code::Code, limits::RequestLimits, problem::Problem};

/// One permit stands for so many bytes.
const BLOCK_BYTES: usize = 1024;

/// How many bytes of bodies the gateway holds, of all requests together.
#[derive(Clone, Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

/// A body, and its share of the budget.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl BodyBudget {
    pub(super) fn new(limits: &RequestLimits) -> Self {
        let blocks = (limits.bodies_bytes_max / BLOCK_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(blocks)))
    }

    /// Reads all of `body`.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limits: &RequestLimits,
    ) -> Result<Held, Problem> {
        let announced = announced(headers);
        check_size(announced.unwrap_or(0), limits)?;
        let share = self.share(announced.unwrap_or(limits.body_bytes_max))?;
        let reading = collect(body, announced.unwrap_or(0), limits);
        let read = tokio::time::timeout(limits.body_timeout, reading).await;
        let bytes = read.unwrap_or_else(|_| Err(slow(limits)))?;
        Ok(Held { bytes, _share: share })
    }

    /// Takes a share for bytes that are read already, as from a WebSocket frame.
    fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES).max(1)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(blocks).map_err(|_| {
            Problem::new(
                Code::Overloaded,
                "the bodies of all requests under way have reached their limit of bytes",
            )
        })
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(body: Body, announced: usize, limits: &RequestLimits) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut bytes = BytesMut::with_capacity(announced.min(limits.body_bytes_max));
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| Problem::invalid_body(".", format!("the body broke off: {error}")))?;
        check_size(bytes.len() + chunk.len(), limits)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn check_size(bytes: usize, limits: &RequestLimits) -> Result<(), Problem> {
    if bytes <= limits.body_bytes_max {
        return Ok(());
    }
    let wide = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
    Err(Problem::too_large("the body", wide(bytes), wide(limits.body_bytes_max)))
}

fn slow(limits: &RequestLimits) -> Problem {
    let seconds = limits.body_timeout.as_secs_f64();
    Problem::new(
        Code::SlowRequest,
        format!("the body did not arrive within {seconds} s; nothing was sent to the entity"),
    )
}
