//! What a gateway could reach that did nothing: bare axum in a process of its own, which sends back what it receives.
//!
//! It takes the same requests on the same paths as the gateway of a node, and answers with their bodies.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    http::header::CONTENT_TYPE,
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpListener;

use crate::{
    child::{Child, say_address},
    node,
};

/// The first argument of a child process that echoes.
pub const CHILD: &str = "--axum-echo-child";
/// A WebSocket whose frames are sent back one by one, as each example has it.
pub const PER_FRAME: &str = "/v1/connect";
/// A WebSocket whose frames are sent back together when no more have come: what the physical limit is.
pub const TOGETHER: &str = "/v1/connect-together";

/// A process that echoes.
#[derive(Debug)]
pub struct AxumEcho {
    child: Child,
    address: SocketAddr,
}

impl AxumEcho {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let (child, address) = Child::start_listening(CHILD);
        Self { child, address }
    }

    /// Its process.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Echoes, until the parent is gone. Prints its address. It has as many threads as a node has for its gateway.
///
/// # Panics
///
/// When loopback does not work.
pub fn serve_here() {
    let runtime = node::runtime();
    let environment = node::environment(runtime.handle());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    say_address(listener.local_addr().expect("it is bound"), &environment);
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("it is a TCP connection"));
    runtime.block_on(axum::serve(listener, routes()).into_future()).expect("it never ends");
}

fn routes() -> Router {
    let json = [(CONTENT_TYPE, "application/json")];
    Router::new()
        .route("/v1/entities/{kind}/{key}/call", post(move |body: Bytes| async move { (json, body) }))
        .route(PER_FRAME, get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(per_frame)))
        .route(TOGETHER, get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(together)))
}

async fn per_frame(mut socket: WebSocket) {
    while let Some(Ok(message @ Message::Text(_))) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn together(socket: WebSocket) {
    let (mut sink, mut frames) = socket.split();
    while let Some(Ok(message @ Message::Text(_))) = frames.next().await {
        let mut fed = sink.feed(message).await;
        while let Some(Some(Ok(message @ Message::Text(_)))) = frames.next().now_or_never() {
            fed = fed.and(sink.feed(message).await);
        }
        if fed.and(sink.flush().await).is_err() {
            return;
        }
    }
}
