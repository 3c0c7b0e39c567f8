//! A typed reference to an entity.

use std::{marker::PhantomData, time::Duration};

use super::{Place, Router};
use crate::{
    entity::{Durability, Entity, KindIndex},
    protocol::{
        Body, CallError, EntityId, Key, KindName, Payload, Reply, Request, RequestId, ShardId, codec,
    },
    shard::More,
};

/// A typed reference to an entity, wherever it is. Cheap to clone; the entity always exists.
pub struct EntityRef<E> {
    router: Router,
    id: EntityId,
    /// Looked up once.
    place: (KindIndex, ShardId),
    kind: PhantomData<fn() -> E>,
}

impl<E> Clone for EntityRef<E> {
    fn clone(&self) -> Self {
        Self { router: self.router.clone(), id: self.id.clone(), place: self.place, kind: PhantomData }
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
        let id = EntityId { kind, key };
        let place = (router.kind(&id.kind), id.shard(router.shards()));
        Self { router, id, place, kind: PhantomData }
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
        let reply = match E::DURABILITY {
            Durability::Replicated => self.router.call(self.request(command)?).await?,
            Durability::Volatile => {
                let body = Payload::encode(command).map_err(|error| invalid(&error))?;
                let deadline = self.router.environment().now() + CALL_TIMEOUT;
                let mut pending = self.router.start_volatile(self.place(), body, deadline)?;
                match tokio::time::timeout_at(deadline, &mut pending).await {
                    Ok(outcome) => outcome?,
                    Err(_) => return Err(pending.give_up()),
                }
            }
        };
        decode::<E>(&reply)
    }

    /// Sends a command and waits for nothing: at most once, in order. Refused at once when the mailbox is full.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn cast(&self, command: &E::Command) -> Result<(), CallError> {
        let body = Payload::encode(command).map_err(|error| invalid(&error))?;
        self.router.post_to(self.place(), body)
    }

    fn place(&self) -> Place {
        let (kind, shard) = self.place;
        Place { kind, shard, key: self.id.key.clone(), more: More::naming(kind, &self.id.kind) }
    }

    fn request(&self, command: &E::Command) -> Result<Request, CallError> {
        Ok(Request {
            target: self.id.clone(),
            body: codec::encode(command).map(Body::binary).map_err(|error| invalid(&error))?,
            request_id: RequestId::random(self.router.environment()),
            idempotency_key: None,
            timeout: CALL_TIMEOUT,
            trace: None,
        })
    }
}

fn invalid(error: &codec::EncodeError) -> CallError {
    CallError::InvalidBody { path: ".".to_owned(), message: error.to_string() }
}

fn decode<E: Entity>(reply: &Reply) -> Result<E::Reply, CallError> {
    codec::decode(&reply.body).map_err(|error| CallError::InvalidBody {
        path: ".".to_owned(),
        message: format!("the reply is not of the expected type: {error}"),
    })
}
