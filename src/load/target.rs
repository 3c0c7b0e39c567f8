//! Where requests go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use playhouse_client::{Address, Client, ConnectError, Connection, EntityName, Idempotency, Options};
use serde::de::IgnoredAny;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{Fault, Operation, Plan, Transport, fault::NOT_SENT};

/// How many WebSocket connections are being opened at a time.
const OPENING_MAX: usize = 64;

/// Something that answers requests.
pub trait Target: Send + Sync + 'static {
    /// Sends the request of this number and waits for its answer, until `deadline`.
    fn send(&self, number: u64, deadline: Instant) -> impl Future<Output = Result<(), Fault>> + Send;
}

impl<T: Target> Target for Arc<T> {
    async fn send(&self, number: u64, deadline: Instant) -> Result<(), Fault> {
        T::send(self, number, deadline).await
    }
}

/// A cluster, through its gateways.
#[derive(Debug)]
pub struct Cluster {
    plan: Arc<Plan>,
    clients: Vec<Client>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// One permit for each connection.
    Http(Semaphore),
    Websocket(Vec<Connection>),
}

impl Cluster {
    /// Opens what the plan wants open before the load begins. Connections are spread over `clients`, of which there is at least
    /// one.
    ///
    /// # Errors
    ///
    /// The first connection that could not be opened; the others are closed again.
    pub(super) async fn open(plan: Arc<Plan>, clients: Vec<Client>) -> Result<Self, ConnectError> {
        let way = match plan.transport {
            Transport::Http => Way::Http(Semaphore::new(plan.connections)),
            Transport::Websocket => Way::Websocket(open_all(plan.connections, &clients).await?),
        };
        Ok(Self { plan, clients, way })
    }

    /// How often each gateway failed, those failures included that another gateway made good.
    #[must_use]
    pub fn gateway_failures(&self) -> BTreeMap<Address, u64> {
        let mut failures = BTreeMap::new();
        for (address, failed) in self.clients.iter().flat_map(Client::gateway_failures) {
            *failures.entry(address).or_default() += failed;
        }
        failures
    }

    async fn over_http(&self, lanes: &Semaphore, number: u64, deadline: Instant) -> Result<(), Fault> {
        let Ok(Ok(_lane)) = timeout_at(deadline, lanes.acquire()).await else {
            return Err(Fault::named(NOT_SENT, "all connections were in use until its time was over"));
        };
        let client = pick(&self.clients, number);
        let entity = client.entity_named(self.name(number));
        let options = self.options(deadline)?;
        match self.plan.operation {
            Operation::Call => {
                entity
                    .call_with::<_, IgnoredAny>(&self.plan.messages.of(number, self.plan.keys), &options)
                    .await?;
            }
            Operation::Cast => {
                entity.cast_with(&self.plan.messages.of(number, self.plan.keys), &options).await?;
            }
            Operation::Get => {
                // The client has one timeout for all reads: it is the one of the plan.
                let Ok(read) = timeout_at(deadline, entity.get::<IgnoredAny>()).await else {
                    return Err(Fault::named(super::NO_ANSWER, "the state was not read in time"));
                };
                read?;
            }
        }
        Ok(())
    }

    async fn over(&self, connection: &Connection, number: u64, deadline: Instant) -> Result<(), Fault> {
        let name = self.name(number);
        let entity = connection.entity_named(name);
        let (message, options) = (self.plan.messages.of(number, self.plan.keys), self.options(deadline)?);
        if self.plan.operation == Operation::Cast {
            entity.begin_cast(&message, &options).await?.accepted().await?;
        } else {
            entity.begin_call::<_, IgnoredAny>(&message, &options).await?.reply().await?;
        }
        Ok(())
    }

    fn options(&self, deadline: Instant) -> Result<Options, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(Fault::named(NOT_SENT, "its time was over before it could be sent"));
        }
        let idempotency = if self.plan.idempotency { Idempotency::Fresh } else { Idempotency::Off };
        Ok(Options { timeout: Some(left), idempotency })
    }

    fn name(&self, number: u64) -> EntityName {
        EntityName::new(&*self.plan.kind, self.plan.key(number))
            .expect("the longest name was checked at the start")
    }
}

impl Target for Cluster {
    async fn send(&self, number: u64, deadline: Instant) -> Result<(), Fault> {
        match &self.way {
            Way::Http(lanes) => self.over_http(lanes, number, deadline).await,
            Way::Websocket(connections) => self.over(pick(connections, number), number, deadline).await,
        }
    }
}

async fn open_all(connections: usize, clients: &[Client]) -> Result<Vec<Connection>, ConnectError> {
    let opening = (0..connections).map(|number| clients[number % clients.len()].connect());
    stream::iter(opening).buffered(OPENING_MAX).try_collect().await
}

fn pick<T>(all: &[T], number: u64) -> &T {
    &all[usize::try_from(number % all.len() as u64).expect("it is below a length")]
}
