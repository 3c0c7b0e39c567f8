//! A typed reference to an entity.

use std::{marker::PhantomData, time::Duration};

use super::Router;
use crate::{
    entity::Entity,
    protocol::{Body, CallError, EntityId, Key, KindName, Reply, Request, RequestId, codec},
};

/// A typed reference to an entity, wherever it is. Cheap to clone; the entity always exists.
pub struct EntityRef<E> {
    router: Router,
    id: EntityId,
    kind: PhantomData<fn() -> E>,
}

impl<E> Clone for EntityRef<E> {
    fn clone(&self) -> Self {
        Self { router: self.router.clone(), id: self.id.clone(), kind: PhantomData }
    }
}

/// How long [`EntityRef::call`] waits.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

impl<E: Entity> EntityRef<E> {
    /// A reference through `router`.
    ///
    /// # Panics
    ///
    /// If the name of the kind is not allowed; the registry refuses such a kind before.
    #[must_use]
    pub fn new(router: Router, key: Key) -> Self {
        let kind = KindName::new(E::KIND).expect("the registry refuses kinds with a bad name");
        Self { router, id: EntityId { kind, key }, kind: PhantomData }
    }

    /// Which entity.
    #[must_use]
    pub fn id(&self) -> &EntityId {
        &self.id
    }

    /// Executes a command and returns the reply after everything it saw is committed; waits at most
    /// [`CALL_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn call(&self, command: &E::Command) -> Result<E::Reply, CallError> {
        let reply = self.router.call(self.request(command)?).await?;
        decode::<E>(&reply)
    }

    /// Sends a command and waits for nothing: at most once, in order. Refused at once when the mailbox is full.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn cast(&self, command: &E::Command) -> Result<(), CallError> {
        let kind = self.router.kind(&self.id)?;
        self.router.post(self.id.clone(), kind, encode(command)?)
    }

    fn request(&self, command: &E::Command) -> Result<Request, CallError> {
        Ok(Request {
            target: self.id.clone(),
            body: encode(command)?,
            request_id: RequestId::random(self.router.environment()),
            idempotency_key: None,
            timeout: CALL_TIMEOUT,
            trace: None,
        })
    }
}

fn encode<C: serde::Serialize>(command: &C) -> Result<Body, CallError> {
    let invalid = |error: codec::EncodeError| CallError::InvalidBody {
        path: ".".to_owned(),
        message: error.to_string(),
    };
    codec::encode(command).map(Body::binary).map_err(invalid)
}

fn decode<E: Entity>(reply: &Reply) -> Result<E::Reply, CallError> {
    codec::decode(&reply.body).map_err(|error| CallError::InvalidBody {
        path: ".".to_owned(),
        message: format!("the reply is not of the expected type: {error}"),
    })
}
