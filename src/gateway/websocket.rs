//! `/v1/connect`: many calls, casts and subscriptions over one connection.
//!
//! Comes in: text frames, one JSON object each. Leaves: answers that carry the client's id. Commands are handed over in
//! the order in which their frames arrive, before the next frame is read; answers come as they are known.
//!
//! Nothing here is unbounded: requests and subscriptions have a count, the send queue has a count and bytes, and while
//! that is full neither answers nor items nor frames are taken. A client that leaves it full is closed with 1013.

mod farewell;
pub mod frame;
mod outbox;
mod reply;
mod session;
mod subscriptions;
mod writer;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::Response,
};

use super::{code::Code, front::Hall, problem::Problem, server::Connection};

/// Memory for reading, per connection. The default of 128 KiB is too dear for many quiet connections.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// `GET /v1/connect`.
pub(super) async fn connect(
    State(hall): State<Arc<Hall>>,
    Extension(connection): Extension<Arc<Connection>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        Problem::new(Code::InvalidHeader, format!("this route speaks WebSocket (RFC 6455): {error}"))
    })?;
    check_origin(&headers, &hall)?;
    let frame_bytes_max = hall.options.requests.body_bytes_max;
    let upgrade = upgrade
        .max_message_size(frame_bytes_max)
        .max_frame_size(frame_bytes_max)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(READ_BUFFER_BYTES);
    Ok(upgrade.on_upgrade(move |socket| session::run(hall, connection, socket)))
}

/// Browsers let any page connect to any address, and do not ask first as they do for requests. Where a token is needed
/// no page can connect, because browsers send none.
fn check_origin(headers: &HeaderMap, hall: &Hall) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let own = origin.split_once("://").map(|(_, authority)| authority) == text(header::HOST);
    if own || hall.options.tokens.is_some() {
        return Ok(());
    }
    Err(Problem::new(Code::ForbiddenOrigin, format!("a page of {origin} may not connect to this node")))
}
