//! The same calls by `playhouse_client`: what a Rust program gets.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use playhouse_client::{Client, Config};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    super::key,
    load::{self, Measured, Tally, Times, Window},
};
use crate::{child::Child, node::runtime, sink::Command};

/// What each call says to its entity.
const COMMAND: Command = Command::Note(7);

/// So many callers, each of an entity of its own.
pub(super) struct Calls {
    pub(super) gateway: SocketAddr,
    pub(super) callers: usize,
    pub(super) times: Times,
}

impl Calls {
    /// `R` is what the server answers with.
    pub(super) fn over_http<R: DeserializeOwned + Send>(&self, server: &Child) -> Measured {
        let client = self.client();
        load::measure(&runtime(), server, self.callers, self.times, |number, window| {
            let entity = client.entity("sink", key(number)).expect("the bench chooses allowed names");
            async move {
                let (mut tally, mut began) = (Tally::new(window), Instant::now());
                while !window.is_over(began) {
                    entity.call::<_, R>(&COMMAND).await.expect("the server is healthy");
                    let now = Instant::now();
                    tally.note(began, now);
                    began = now;
                }
                tally
            }
        })
    }

    /// Each caller has a connection of its own, and so many calls in flight.
    pub(super) fn over_websocket(&self, server: &Child, in_flight: usize) -> Measured {
        let client = Arc::new(self.client());
        load::measure(&runtime(), server, self.callers, self.times, |number, window| {
            let client = Arc::clone(&client);
            async move { pipelined(&client, number, in_flight, window).await }
        })
    }

    fn client(&self) -> Client {
        let mut config = Config::new([format!("http://{}", self.gateway)]).expect("an address");
        config.idle_connections_max = self.callers;
        Client::new(config).expect("it has a gateway")
    }
}

async fn pipelined(client: &Client, number: usize, in_flight: usize, window: Window) -> Tally {
    let connection = client.connect().await.expect("the gateway listens");
    let entity = connection.entity("sink", key(number)).expect("the bench chooses allowed names");
    let call = async || {
        let began = Instant::now();
        entity.call::<_, u64>(&COMMAND).await.expect("the server is healthy");
        began
    };
    let mut calls: FuturesUnordered<_> = (0..in_flight).map(|_| call()).collect();
    let mut tally = Tally::new(window);
    while let Some(began) = calls.next().await {
        let now = Instant::now();
        tally.note(began, now);
        if !window.is_over(now) {
            calls.push(call());
        }
    }
    tally
}
