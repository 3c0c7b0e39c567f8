//! A gateway on a real socket, with scripted entities behind it and a client that sees every byte.

mod client;
mod scripted;

use std::{net::SocketAddr, sync::Arc};

use playhouse_cluster::environment::Environment;
use tokio::{net::TcpListener, task::JoinHandle};

pub(super) use client::{Answer, Client};
pub(super) use scripted::{Outcome, Scripted};

use super::{DrainSwitch, Options, drain, serve};
use crate::telemetry::Metrics;

/// A running gateway.
pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) entities: Arc<Scripted>,
    pub(super) metrics: Metrics,
    pub(super) drain: DrainSwitch,
    pub(super) serving: JoinHandle<()>,
}

impl House {
    /// Answers every command with `{"value":1}` at revision 7.
    pub(super) async fn open() -> Self {
        Self::with(Scripted::default(), |_| {}).await
    }

    /// Answers every command with `outcome`.
    pub(super) async fn answering(outcome: impl Fn() -> Outcome + Send + Sync + 'static) -> Self {
        Self::with(Scripted::new(move |_| outcome()), |_| {}).await
    }

    pub(super) async fn with(entities: Scripted, adjust: impl FnOnce(&mut Options)) -> Self {
        let (switch, signal) = drain();
        let metrics = Metrics::new("test");
        let mut options = Options::new("playhouse-0", signal, metrics.clone());
        adjust(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let environment = Environment::simulated(1);
        let entities = Arc::new(entities);
        let serving = environment.spawn(serve(listener, entities.clone(), options, environment.clone()));
        Self { address, entities, metrics, drain: switch, serving }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(super) async fn ask(&self, head: &str, body: &str) -> Answer {
        self.client().await.ask(head, body).await
    }
}
