//! Opens a WebSocket at one of the gateways.

use std::io;

use hyper::{Request, StatusCode, header::AUTHORIZATION};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{
    Failure, GaveUp, Outcome, Problem, client::Shared, error::Ended, gateways::Picked, transport::Io,
};

/// Memory for reading, per connection. The default of 128 KiB is too dear for a program with many connections.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// An open WebSocket, and where it leads.
pub(super) struct Socket {
    pub(super) picked: Picked,
    pub(super) stream: WebSocketStream<Io>,
}

/// Tries one gateway after the other until one opens, until `deadline`, or for ever.
pub(super) async fn open_until(shared: &Shared, deadline: Option<Instant>) -> Result<Socket, Ended> {
    let start = Instant::now();
    let mut attempts = 0;
    let mut token_was_reloaded = false;
    loop {
        let picked = shared.gateways.pick(Instant::now());
        attempts += 1;
        let last = match open(shared, picked).await {
            Ok(stream) => return Ok(Socket { picked, stream }),
            Err(failure) => failure,
        };
        if last.blames_gateway() {
            shared.gateways.failed(picked, Instant::now());
        }
        let reloaded = !token_was_reloaded && reload_token(shared, &last);
        token_was_reloaded |= reloaded;
        let pause = match &last {
            _ if reloaded => std::time::Duration::ZERO,
            Failure::Problem(problem) if !problem.is_retryable() => {
                return Err(Ended::Rejected(problem.clone()));
            }
            last if last.blames_gateway() && shared.gateways.any_ready(Instant::now()) => {
                std::time::Duration::ZERO
            }
            last => last.retry_after().unwrap_or_default().max(shared.pause(attempts)),
        };
        if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            let outcome = Outcome::NothingHappened;
            let elapsed = start.elapsed();
            return Err(Ended::GaveUp(Box::new(GaveUp {
                attempts,
                elapsed,
                outcome,
                idempotency_key: None,
                last,
            })));
        }
        sleep(pause).await;
    }
}

fn reload_token(shared: &Shared, failure: &Failure) -> bool {
    let unauthorized = StatusCode::UNAUTHORIZED.as_u16();
    let refused = matches!(failure, Failure::Problem(problem) if problem.status == unauthorized);
    let token = shared.config.token.as_ref();
    refused && token.is_some_and(|token| token.reload(&token.header()))
}

async fn open(shared: &Shared, picked: Picked) -> Result<WebSocketStream<Io>, Failure> {
    let wait = shared.config.attempt_timeout;
    match timeout(wait, shake_hands(shared, picked)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::Silent { address: shared.gateways.address(picked).clone(), waited: wait }),
    }
}

async fn shake_hands(shared: &Shared, picked: Picked) -> Result<WebSocketStream<Io>, Failure> {
    let address = shared.gateways.address(picked);
    let io = shared.transport.open(address).await?;
    let bytes_max = shared.config.response_bytes_max;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max))
        .read_buffer_size(READ_BUFFER_BYTES);
    match client_async_with_config(request(shared, picked), io, Some(limits)).await {
        Ok((stream, _)) => Ok(stream),
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            Err(Failure::Problem(Problem::read(response.status(), response.headers(), body)))
        }
        Err(error) => {
            let source = Box::new(io::Error::other(error));
            Err(Failure::Broken { address: address.clone(), source })
        }
    }
}

fn request(shared: &Shared, picked: Picked) -> Request<()> {
    let url = shared.gateways.address(picked).join_websocket("/v1/connect");
    let mut request = url.into_client_request().expect("an address is a URL with a host");
    if let Some(token) = &shared.config.token {
        request.headers_mut().insert(AUTHORIZATION, token.header());
    }
    request
}
