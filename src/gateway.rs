//! HTTP and WebSocket: axum in, [`Request`](crate::protocol::Request) out. The only room that knows axum.
//!
//! Comes in: a socket, something that has [`Entities`], a [`DrainSignal`]. Leaves: answers as `docs/http-api.md`
//! promises them, and problem+json for everything else. `ops` serves the second port: probes, metrics, admin.
//!
//! [`serve`] returns after the drain: the listener is closed, requests under way are answered, connections are gone.

mod body;
mod calls;
mod code;
mod counts;
mod drain;
mod entities;
mod front;
mod headers;
mod limits;
mod openapi;
mod operation;
pub mod ops;
mod options;
mod percent;
mod problem;
mod query;
mod routes;
mod server;
mod target;
mod tokens;
mod views;
mod visit;
pub mod websocket;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use playhouse_cluster::environment::Environment;
use tokio::net::TcpListener;

pub use drain::{DrainSignal, DrainSwitch, drain};
pub use entities::{Entities, Items, Pending};
pub use limits::{RequestLimits, ServerLimits, WebSocketLimits};
pub use options::Options;
pub use tokens::{TokenError, Tokens};

/// Serves port 8080 until `options.drain` is given and everybody was answered, at most
/// [`ServerLimits::drain_timeout`].
pub async fn serve(
    listener: TcpListener,
    entities: Arc<dyn Entities>,
    options: Options,
    environment: Environment,
) {
    let server = server::Server {
        port: "gateway",
        limits: options.server.clone(),
        drain: options.drain.clone(),
        metrics: options.metrics.clone(),
        environment: environment.clone(),
    };
    let front = front::Front::new(entities, options, environment);
    server.serve(listener, Arc::new(front)).await;
}
