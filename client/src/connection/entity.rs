//! One entity over a connection.

use serde::{Serialize, de::DeserializeOwned};

use super::{Connection, PendingCall, PendingCast, SubscribeError, Subscription};
use crate::{CallError, CastError, EntityName, Options};

/// A handle on one entity over a [`Connection`]. Its commands are executed in the order in which they are begun.
///
/// Unlike over HTTP, an answer such as `overloaded` is not retried here, because that would change the order: it
/// comes as [`GaveUp`](crate::GaveUp) with the key for another try. A lost connection is opened again, and what is
/// unanswered is sent again in its order.
#[derive(Clone, Debug)]
pub struct ConnectionEntity {
    connection: Connection,
    name: EntityName,
}

impl ConnectionEntity {
    pub(super) fn new(connection: Connection, name: EntityName) -> Self {
        Self { connection, name }
    }

    /// Which entity it is.
    #[must_use]
    pub fn name(&self) -> &EntityName {
        &self.name
    }

    /// Sends a command and waits for the reply.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn call<C, R>(&self, command: &C) -> Result<R, CallError>
    where
        C: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let pending = self.begin_call(command, &Options::default()).await?;
        pending.reply().await.map(|replied| replied.reply)
    }

    /// Sends a command and waits until it is committed, not for a reply.
    ///
    /// # Errors
    ///
    /// [`CastError`].
    pub async fn cast<C: Serialize + ?Sized>(&self, command: &C) -> Result<(), CastError> {
        self.begin_cast(command, &Options::default()).await?.accepted().await
    }

    /// Sends a command and returns as soon as its place in the order is fixed, so that the next one can be begun
    /// before the reply is here.
    ///
    /// # Errors
    ///
    /// [`CallError`], when it could not even be begun.
    pub async fn begin_call<C, R>(&self, command: &C, options: &Options) -> Result<PendingCall<R>, CallError>
    where
        C: Serialize + ?Sized,
    {
        self.connection.begin_call(&self.name, command, options).await
    }

    /// As [`begin_call`](Self::begin_call), for a cast.
    ///
    /// # Errors
    ///
    /// [`CastError`], when it could not even be begun.
    pub async fn begin_cast<C>(&self, command: &C, options: &Options) -> Result<PendingCast, CastError>
    where
        C: Serialize + ?Sized,
    {
        self.connection.begin_cast(&self.name, command, options).await
    }

    /// Subscribes to what the entity publishes: behind revision `after` as far as history is kept, or from now on.
    ///
    /// When the connection breaks, the shard moves or the node stops, it goes on behind the last item. Without `after`
    /// and before the first item there is nothing to go on behind, unless the server said where it began: what is
    /// published meanwhile may then be missed without a [`Notice::Gap`](crate::Notice::Gap). Give `after` where that
    /// matters.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub async fn subscribe<T>(&self, after: Option<u64>) -> Result<Subscription<T>, SubscribeError> {
        self.connection.subscribe(&self.name, after).await
    }
}
