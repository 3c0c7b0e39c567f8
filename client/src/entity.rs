//! One entity over HTTP.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::Method;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CallError, CastError, EntityName, EntityView, Idempotency, ReadError,
    client::{Shared, read},
    dispatch::{self, Operation},
    error::beginning,
    transport::Answer,
};

/// A handle on one entity. Clone it freely.
///
/// Requests made through it are not ordered among each other; await one before the next, or use a
/// [`Connection`](crate::Connection).
#[derive(Clone, Debug)]
pub struct Entity {
    shared: Arc<Shared>,
    name: EntityName,
}

/// What may be different for one operation.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long it may take with all its retries; the client's [`timeout`](crate::Config::timeout) if `None`.
    pub timeout: Option<Duration>,
    /// How it is told apart from its own repetition.
    pub idempotency: Idempotency,
}

/// A reply, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replied<R> {
    /// The reply itself.
    pub reply: R,
    /// How many times the entity had changed when it answered, if the server said so.
    pub revision: Option<u64>,
    /// The request's name in the server's logs: the idempotency key if there was one.
    pub request_id: Option<String>,
}

impl Entity {
    pub(crate) fn new(shared: Arc<Shared>, name: EntityName) -> Self {
        Self { shared, name }
    }

    /// Which entity it is.
    #[must_use]
    pub fn name(&self) -> &EntityName {
        &self.name
    }

    /// Sends a command and waits for the reply. Retries carry one idempotency key, so it takes effect at most once.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn call<C, R>(&self, command: &C) -> Result<R, CallError>
    where
        C: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call_with(command, &Options::default()).await.map(|replied| replied.reply)
    }

    /// As [`call`](Self::call), with its own timeout or idempotency key, and with what was said about the reply.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn call_with<C, R>(&self, command: &C, options: &Options) -> Result<Replied<R>, CallError>
    where
        C: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let body = serde_json::to_vec(command).map_err(CallError::Encode)?;
        let answer = self.send("call", body.into(), options).await?;
        replied(&answer)
    }

    /// Sends a command and waits until it is committed, not for a reply.
    ///
    /// # Errors
    ///
    /// [`CastError`].
    pub async fn cast<C: Serialize + ?Sized>(&self, command: &C) -> Result<(), CastError> {
        self.cast_with(command, &Options::default()).await
    }

    /// As [`cast`](Self::cast), with its own timeout or idempotency key.
    ///
    /// # Errors
    ///
    /// [`CastError`].
    pub async fn cast_with<C>(&self, command: &C, options: &Options) -> Result<(), CastError>
    where
        C: Serialize + ?Sized,
    {
        let body = serde_json::to_vec(command).map_err(CastError::Encode)?;
        self.send("cast", body.into(), options).await?;
        Ok(())
    }

    /// The state, as the kind shows it.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn get<S: DeserializeOwned>(&self) -> Result<EntityView<S>, ReadError> {
        read(&self.shared, self.name.path()).await
    }

    async fn send(&self, verb: &str, body: Bytes, options: &Options) -> Result<Answer, crate::error::Ended> {
        let key = self.shared.key(&options.idempotency);
        let operation = Operation {
            method: Method::POST,
            path: format!("{}/{verb}", self.name.path()),
            body,
            key: key.as_ref(),
            timeout: options.timeout.unwrap_or(self.shared.config.timeout),
        };
        dispatch::run(&self.shared, &operation).await
    }
}

fn replied<R: DeserializeOwned>(answer: &Answer) -> Result<Replied<R>, CallError> {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let reply = serde_json::from_slice(&answer.body)
        .map_err(|source| CallError::Decode { source, reply: beginning(&answer.body) })?;
    Ok(Replied {
        reply,
        revision: header("entity-revision").and_then(|text| text.parse().ok()),
        request_id: header("request-id").map(str::to_owned),
    })
}
