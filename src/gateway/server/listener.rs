//! The accept loop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use playhouse_cluster::environment::Environment;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    super::{
        drain::{DrainSignal, DrainSwitch, drain},
        limits::ServerLimits,
    },
    connection::{Answer, Connection, converse},
    refusal::refuse,
};
use crate::telemetry::Metrics;

/// How many refusals may be under way. Further connections are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long the loop rests when the operating system has no more files or memory for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that was told to go may take to do so.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// One port.
pub(in crate::gateway) struct Server {
    /// `gateway` or `ops`; a label of metrics.
    pub(in crate::gateway) port: &'static str,
    pub(in crate::gateway) limits: ServerLimits,
    pub(in crate::gateway) drain: DrainSignal,
    pub(in crate::gateway) metrics: Metrics,
    pub(in crate::gateway) environment: Environment,
}

impl Server {
    /// Serves until the drain is over and every connection is closed.
    pub(in crate::gateway) async fn serve(self, listener: TcpListener, answer: Arc<dyn Answer>) {
        let (cut_switch, cut) = drain();
        let lobby = Lobby {
            seats: Arc::new(Semaphore::new(self.seats())),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            server: self,
            answer,
            cut,
        };
        lobby.accept(&listener).await;
        drop(listener); // New connections are refused by the operating system from here on.
        lobby.finish(cut_switch).await;
    }

    fn seats(&self) -> usize {
        usize::try_from(self.limits.connections_max.get()).unwrap_or(Semaphore::MAX_PERMITS)
    }
}

/// Who may come in, and who must leave.
struct Lobby {
    server: Server,
    answer: Arc<dyn Answer>,
    /// One per open connection.
    seats: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// Given when the drain has taken too long.
    cut: DrainSignal,
}

impl Lobby {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            tokio::select! {
                () = self.server.drain.given() => return,
                accepted = listener.accept() => self.welcome(accepted).await,
            }
        }
    }

    async fn welcome(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&self.seats).try_acquire_owned() {
                Ok(seat) => self.seat(stream, peer, seat),
                Err(_) => self.refuse(stream),
            },
            Err(error) => {
                tracing::warn!(port = self.server.port, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn seat(&self, stream: TcpStream, peer: SocketAddr, seat: OwnedSemaphorePermit) {
        let connection = Connection::new(&self.server, peer, seat, self.cut.clone());
        let limits = self.server.limits.clone();
        self.server.environment.spawn(converse(stream, connection, limits, Arc::clone(&self.answer)));
    }

    fn refuse(&self, stream: TcpStream) {
        self.server.metrics.connections_refused.with_label_values(&[self.server.port]).inc();
        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            let request_id = self.server.environment.random_u128();
            self.server.environment.spawn(async move {
                refuse(stream, request_id).await;
                drop(permit);
            });
        }
    }

    async fn finish(&self, cut: DrainSwitch) {
        if timeout(self.server.limits.drain_timeout, self.everybody_left()).await.is_ok() {
            return;
        }
        tracing::warn!(port = self.server.port, "drain took too long; the remaining connections are cut");
        cut.start();
        let _ = timeout(CUT_GRACE, self.everybody_left()).await;
    }

    async fn everybody_left(&self) {
        let seats = self.server.limits.connections_max.get();
        // The semaphore is never closed; all its permits are there exactly when no connection is open.
        let _ = self.seats.acquire_many(seats).await;
    }
}
