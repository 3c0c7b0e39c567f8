//! One connection, from its first byte to its close.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

use axum::{body::Body, extract::Request, http::StatusCode, response::Response};
use futures_util::future::BoxFuture;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use playhouse_cluster::environment::Environment;
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

use super::{
    super::{drain::DrainSignal, limits::ServerLimits},
    listener::Server,
    patience::{Patient, Phase},
};
use crate::telemetry::Metrics;

/// How many headers a request may have.
const HEADERS_MAX: usize = 64;

/// Answers requests. Never fails: a fault is an answer, too.
pub(in crate::gateway) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: Request, connection: Arc<Connection>) -> BoxFuture<'static, Response>;
}

/// What an answer may know of its connection. Whoever holds it keeps the connection's seat, so that a drain waits.
#[derive(Debug)]
pub(in crate::gateway) struct Connection {
    pub(in crate::gateway) peer: SocketAddr,
    pub(in crate::gateway) drain: DrainSignal,
    /// Given when the drain has taken too long: end at once.
    pub(in crate::gateway) cut: DrainSignal,
    pub(super) environment: Environment,
    port: &'static str,
    metrics: Metrics,
    _seat: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        server: &Server,
        peer: SocketAddr,
        seat: OwnedSemaphorePermit,
        cut: DrainSignal,
    ) -> Self {
        server.metrics.connections.with_label_values(&[server.port]).inc();
        let (metrics, drain) = (server.metrics.clone(), server.drain.clone());
        let environment = server.environment.clone();
        Self { peer, drain, cut, environment, port: server.port, metrics, _seat: seat }
    }

    pub(super) fn count_cut(&self, reason: &'static str) {
        self.metrics.connections_cut.with_label_values(&[self.port, reason]).inc();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.connections.with_label_values(&[self.port]).dec();
    }
}

/// Speaks HTTP/1.1 until either side has had enough.
pub(super) async fn converse(
    stream: TcpStream,
    connection: Connection,
    limits: ServerLimits,
    answer: Arc<dyn Answer>,
) {
    // Without it a small reply could wait 40 ms for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(connection);
    let phase = Phase::default();
    let io = TokioIo::new(Patient::new(stream, phase.clone(), &limits, Arc::clone(&connection)));
    let (here, drain, cut) = (Arc::clone(&connection), connection.drain.clone(), connection.cut.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let reply = answer.answer(request.map(Body::new), Arc::clone(&here));
        watched(reply, phase.clone())
    });
    let mut http = pin!(builder(&limits).serve_connection(io, service).with_upgrades());
    tokio::select! {
        _ = http.as_mut() => return,
        () = drain.given() => http.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = http => {}
        () = cut.given() => connection.count_cut("drain"),
    }
}

async fn watched(reply: BoxFuture<'static, Response>, phase: Phase) -> Result<Response, Infallible> {
    phase.answering();
    let response = reply.await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        phase.upgraded();
    } else {
        phase.waiting();
    }
    Ok(response)
}

fn builder(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Time is watched by `Patient`, which tells an idle connection from a slow head; hyper has one limit for both.
    builder.header_read_timeout(None).max_headers(HEADERS_MAX).max_buf_size(limits.head_bytes_max);
    builder
}
