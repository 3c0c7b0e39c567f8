//! Many calls, casts and subscriptions over one WebSocket.
//!
//! Comes in: commands from any number of handles. Leaves: their answers, and the items of subscriptions.
//!
//! One task drives it. `desk` takes what handles ask for, `session` is the pure memory of what is unanswered,
//! `socket` opens and reads and writes the WebSocket, `driver` joins the three and opens again what broke.
//!
//! **Order.** Commands to one entity are executed in the order in which they were begun. That is why an answer such
//! as `overloaded` is handed to the caller and not retried here: by then, later commands are already under way.
//! When the connection breaks, everything unanswered is sent again in its order, with the same idempotency keys.

mod desk;
mod driver;
mod entity;
mod frame;
mod pending;
mod session;
mod socket;
mod subscription;

use std::sync::Arc;

use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    CallError, CastError, ConnectError, EntityName, Failure, GaveUp, NameError, Options, Outcome, Problem,
    client::Shared, error::Ended,
};
use desk::{Ask, Submission};
pub use entity::ConnectionEntity;
use frame::Verb;
use pending::Receiver;
pub use pending::{PendingCall, PendingCast};
pub use subscription::{Notice, SubscribeError, Subscription, SubscriptionEnd};

/// How many asks may wait for the driver to take them; the bound that matters is `Config::in_flight_max`.
const ASKS_MAX: usize = 64;

/// The largest command with its names, in bytes. The server closes the connection at a frame over 1 MiB; one large
/// command must not cost all others theirs.
const COMMAND_BYTES_MAX: usize = (1 << 20) - 4096;

/// A WebSocket connection. Clone it freely; clones are the same connection. It closes when the last clone, entity
/// and subscription is dropped and everything begun is answered.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
}

impl Connection {
    pub(crate) async fn open(shared: Arc<Shared>) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + shared.config.timeout;
        let socket = socket::open_until(&shared, Some(deadline)).await?;
        let (asks, taken) = mpsc::channel(ASKS_MAX);
        driver::start(Arc::clone(&shared), taken, socket);
        Ok(Self { shared, asks })
    }

    /// A handle on one entity, over this connection.
    ///
    /// # Errors
    ///
    /// When a name is not allowed.
    pub fn entity(
        &self,
        kind: impl Into<String>,
        key: impl Into<String>,
    ) -> Result<ConnectionEntity, NameError> {
        Ok(ConnectionEntity::new(self.clone(), EntityName::new(kind, key)?))
    }

    /// As [`entity`](Self::entity), for a name that is already checked.
    #[must_use]
    pub fn entity_named(&self, name: EntityName) -> ConnectionEntity {
        ConnectionEntity::new(self.clone(), name)
    }

    pub(crate) async fn begin_call<C, R>(
        &self,
        name: &EntityName,
        command: &C,
        options: &Options,
    ) -> Result<PendingCall<R>, CallError>
    where
        C: Serialize + ?Sized,
    {
        let command = serde_json::value::to_raw_value(command).map_err(CallError::Encode)?;
        Ok(PendingCall::new(self.submit(Verb::Call, name, command, options).await?))
    }

    pub(crate) async fn begin_cast<C>(
        &self,
        name: &EntityName,
        command: &C,
        options: &Options,
    ) -> Result<PendingCast, CastError>
    where
        C: Serialize + ?Sized,
    {
        let command = serde_json::value::to_raw_value(command).map_err(CastError::Encode)?;
        Ok(PendingCast::new(self.submit(Verb::Cast, name, command, options).await?))
    }

    pub(crate) async fn subscribe<T>(
        &self,
        name: &EntityName,
        after: Option<u64>,
    ) -> Result<Subscription<T>, SubscribeError> {
        let deadline = Instant::now() + self.shared.config.timeout;
        let (notices, taken) = subscription::channel(self.shared.config.notices_max);
        let (opened, answer) = oneshot::channel();
        let ask = Ask::Subscribe { name: name.clone(), after, notices, opened };
        self.ask(ask, deadline).await.map_err(|last| SubscribeError::GaveUp(unsent(last)))?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(outcome)) => outcome.map(|id| Subscription::new(id, taken, self.asks.clone())),
            _ => Err(SubscribeError::GaveUp(unsent(Failure::NotSent("no answer in time")))),
        }
    }

    async fn submit(
        &self,
        verb: Verb,
        name: &EntityName,
        command: Box<serde_json::value::RawValue>,
        options: &Options,
    ) -> Result<Receiver, Ended> {
        let bytes = command.get().len() + name.kind().len() + name.key().len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(Ended::Rejected(Box::new(Problem::too_large(bytes, COMMAND_BYTES_MAX))));
        }
        let begun = Instant::now();
        let deadline = begun + options.timeout.unwrap_or(self.shared.config.timeout);
        let key = self.shared.key(&options.idempotency);
        let (answer, receiver) = oneshot::channel();
        let submission = Submission { verb, name: name.clone(), command, key, begun, deadline, answer };
        match self.ask(Ask::Submit(submission), deadline).await {
            Ok(()) => Ok(Receiver { begun, answer: receiver }),
            Err(last) => Err(Ended::GaveUp(unsent(last))),
        }
    }

    async fn ask(&self, ask: Ask, deadline: Instant) -> Result<(), Failure> {
        match timeout_at(deadline, self.asks.send(ask)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Failure::NotSent("the server refused to open the connection again")),
            Err(_) => Err(Failure::NotSent("too many commands are unanswered")),
        }
    }
}

fn unsent(last: Failure) -> Box<GaveUp> {
    Box::new(GaveUp {
        attempts: 0,
        elapsed: std::time::Duration::ZERO,
        outcome: Outcome::NothingHappened,
        idempotency_key: None,
        last,
    })
}
