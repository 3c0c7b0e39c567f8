//! The handle that a program holds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::Method;
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};
use serde::de::DeserializeOwned;

use crate::{
    Address, ClientError, Config, ConnectError, Connection, Entity, EntityName, Idempotency, IdempotencyKey,
    KindView, ListQuery, NameError, Page, ReadError,
    dispatch::{self, Operation},
    error::beginning,
    gateways::Gateways,
    transport::Transport,
    view::Kinds,
};

/// A client of a Playhouse cluster. Clone it freely: clones share connections and what is known of the gateways.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use playhouse_client::{Client, Config};
/// use serde_json::{Value, json};
///
/// let client = Client::new(Config::new(["http://127.0.0.1:8080"])?)?;
/// let reply: Value = client.entity("counter", "visits")?.call(&json!({"add": 1})).await?;
/// println!("{}", reply["value"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What all clones, entities and connections of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) gateways: Gateways,
    pub(crate) transport: Transport,
    /// For idempotency keys and jitter; seeded by the operating system.
    random: Mutex<SmallRng>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Result<Self, ClientError> {
        if config.addresses.is_empty() {
            return Err(ClientError::NoAddress);
        }
        let transport = Transport::new(&config)?;
        let gateways = Gateways::new(config.addresses.clone());
        Ok(Self { config, gateways, transport, random: Mutex::new(SmallRng::from_os_rng()) })
    }

    /// How long to wait after so many failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let chance = self.random.lock().unwrap_or_else(PoisonError::into_inner).random();
        self.config.backoff.pause(failures, chance)
    }

    pub(crate) fn key(&self, idempotency: &Idempotency) -> Option<IdempotencyKey> {
        match idempotency {
            Idempotency::Fresh => Some(self.fresh_key()),
            Idempotency::Key(key) => Some(key.clone()),
            Idempotency::Off => None,
        }
    }

    fn fresh_key(&self) -> IdempotencyKey {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        IdempotencyKey::from_random(bits)
    }
}

impl Client {
    /// A client for the gateways of `config`. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// Without an address; with the feature `tls` also when the trusted certificates cannot be read.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        Ok(Self { shared: Arc::new(Shared::new(config)?) })
    }

    /// A handle on one entity. It always exists; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a name is not allowed.
    pub fn entity(&self, kind: impl Into<String>, key: impl Into<String>) -> Result<Entity, NameError> {
        Ok(self.entity_named(EntityName::new(kind, key)?))
    }

    /// As [`entity`](Self::entity), for a name that is already checked.
    #[must_use]
    pub fn entity_named(&self, name: EntityName) -> Entity {
        Entity::new(Arc::clone(&self.shared), name)
    }

    /// Keys of a kind in ascending order, one page of them.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn list(&self, query: &ListQuery) -> Result<Page, ReadError> {
        self.read(query.path()).await
    }

    /// The kinds that the node knows.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn kinds(&self) -> Result<Vec<KindView>, ReadError> {
        self.read::<Kinds>("/v1/kinds".to_owned()).await.map(|kinds| kinds.kinds)
    }

    /// Opens a WebSocket connection, over which many calls, casts and subscriptions go at once. When it breaks, it
    /// is opened again, perhaps at another gateway.
    ///
    /// # Errors
    ///
    /// When no gateway opens one within [`Config::timeout`].
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        Connection::open(Arc::clone(&self.shared)).await
    }

    /// How often each gateway failed since this client began: no connection, a broken one, no answer in time, or the answer
    /// that it is leaving. Operations that another gateway then answered are among them.
    #[must_use]
    pub fn gateway_failures(&self) -> Vec<(Address, u64)> {
        self.shared.gateways.failed_since_begin()
    }

    async fn read<T: DeserializeOwned>(&self, path: String) -> Result<T, ReadError> {
        read(&self.shared, path).await
    }
}

/// Reads `path` as JSON.
pub(crate) async fn read<T: DeserializeOwned>(shared: &Shared, path: String) -> Result<T, ReadError> {
    let timeout = shared.config.timeout;
    let operation = Operation { method: Method::GET, path, body: Bytes::new(), key: None, timeout };
    let answer = dispatch::run(shared, &operation).await?;
    serde_json::from_slice(&answer.body)
        .map_err(|source| ReadError::Decode { source, answer: beginning(&answer.body) })
}
