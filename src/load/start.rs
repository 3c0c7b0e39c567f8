//! Looks whether the load makes sense before any of it is sent.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use playhouse_client::{
    Address, Client, ClientError, Config, ConnectError, EntityName, KindView, ListQuery, NameError, ReadError,
};
use tokio::time::Instant;

use super::{Cluster, Fault, OpenFilesError, Plan, PlanError, Target, Transport, raise_open_files};

/// How long one gateway may take to say which kinds it knows.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Files of this process that are no connections: streams, the runtime, the report, and connections that are being replaced.
const FILES_BESIDE: u64 = 128;

/// How to reach the cluster.
#[derive(Clone, Debug)]
pub struct Access {
    /// Gateways and token. Its times are replaced by those of the plan.
    pub config: Config,
    /// Addresses of this machine from which connections are opened in turn; the operating system chooses if there is none.
    pub from: Vec<IpAddr>,
    /// Whether entities under the prefix of the plan may be there already.
    pub reuse: bool,
}

/// Why no load was sent. At most the first request of the plan was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that no entity can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too many connections for this process.
    #[error(transparent)]
    OpenFiles(#[from] OpenFilesError),
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No gateway answers, or they do not know our token.
    #[error("no gateway says which kinds it knows")]
    NoGateway(#[source] ReadError),
    /// The kind is not registered.
    #[error("no node knows the kind {kind}; known are {}", known.join(", "))]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Somebody's entities may be meant.
    #[error("there are entities of kind {kind} whose keys begin with {prefix:?}, such as {key:?}")]
    KeysInUse {
        /// The kind.
        kind: String,
        /// The prefix.
        prefix: String,
        /// One of the keys.
        key: String,
    },
    /// It is not known whose entities there are.
    #[error("could not look whether keys are in use")]
    Look(#[source] ReadError),
    /// The connections could not be opened.
    #[error("could not open {connections} connections")]
    Connect {
        /// How many there should be.
        connections: usize,
        /// The first that failed.
        #[source]
        source: ConnectError,
    },
    /// What the load would send is refused.
    #[error("the first request failed")]
    FirstRequest(#[source] Fault),
}

/// A load that makes sense. Nothing was written yet.
#[derive(Debug)]
pub struct Checked {
    plan: Arc<Plan>,
    clients: Vec<Client>,
    silent: Vec<Address>,
}

/// Opens the cluster for a run: [`check`], then [`Checked::open`]. Also returns the gateways that did not answer.
///
/// # Errors
///
/// [`StartError`].
pub async fn open(plan: &Arc<Plan>, access: &Access) -> Result<(Cluster, Vec<Address>), StartError> {
    let checked = check(plan, access).await?;
    let silent = checked.silent().to_vec();
    Ok((checked.open().await?, silent))
}

/// Checks the plan, asks each gateway for its kinds, and looks whether keys are in use.
///
/// # Errors
///
/// [`StartError`]. Nothing was written.
pub async fn check(plan: &Arc<Plan>, access: &Access) -> Result<Checked, StartError> {
    plan.check()?;
    // The longest key of all.
    EntityName::new(&*plan.kind, plan.key(plan.keys - 1))?;
    raise_open_files(files(plan, access))?;
    let config = config(plan, access);
    let silent = look_for_kind(plan, &config).await?;
    let clients = clients(&config, &access.from)?;
    if plan.writes() && !access.reuse {
        look_for_keys(plan, &clients[0]).await?;
    }
    Ok(Checked { plan: Arc::clone(plan), clients, silent })
}

impl Checked {
    /// The gateways that did not answer; others did.
    #[must_use]
    pub fn silent(&self) -> &[Address] {
        &self.silent
    }

    /// Opens what the plan wants open, and sends the first request of the plan alone: it may write the first entity.
    ///
    /// # Errors
    ///
    /// [`StartError::Connect`], or [`StartError::FirstRequest`].
    pub async fn open(self) -> Result<Cluster, StartError> {
        let Self { plan, clients, .. } = self;
        let (connections, timeout) = (plan.connections, plan.timeout);
        let cluster = Cluster::open(plan, clients).await;
        let cluster = cluster.map_err(|source| StartError::Connect { connections, source })?;
        cluster.send(0, Instant::now() + timeout).await.map_err(StartError::FirstRequest)?;
        Ok(cluster)
    }
}

/// Over HTTP there is a client for each address of this machine, and each keeps connections to every gateway.
fn files(plan: &Plan, access: &Access) -> u64 {
    let per_connection = match plan.transport {
        Transport::Http => access.config.addresses.len().max(1) * access.from.len().max(1),
        Transport::Websocket => 1,
    };
    plan.connections as u64 * per_connection as u64 + FILES_BESIDE
}

fn config(plan: &Plan, access: &Access) -> Config {
    let mut config = access.config.clone();
    config.timeout = plan.timeout;
    config.attempt_timeout = config.attempt_timeout.min(plan.timeout);
    config.idle_connections_max = plan.connections;
    config
}

fn clients(config: &Config, from: &[IpAddr]) -> Result<Vec<Client>, ClientError> {
    let from = if from.is_empty() { vec![None] } else { from.iter().copied().map(Some).collect() };
    let client = |local_address| Client::new(Config { local_address, ..config.clone() });
    from.into_iter().map(client).collect()
}

/// The gateways that did not answer, if any did.
async fn look_for_kind(plan: &Plan, config: &Config) -> Result<Vec<Address>, StartError> {
    let asked = config.addresses.iter().map(|address| kinds_of(address, config));
    let (mut known, mut silent, mut last) = (Vec::<String>::new(), Vec::new(), None);
    for (address, answer) in config.addresses.iter().zip(join_all(asked).await) {
        match answer? {
            Ok(kinds) => known.extend(kinds.into_iter().map(|kind| kind.kind)),
            Err(error) => {
                silent.push(address.clone());
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if silent.len() == config.addresses.len() => return Err(StartError::NoGateway(error)),
        _ if known.contains(&plan.kind) => {}
        _ => {
            known.sort();
            known.dedup();
            return Err(StartError::UnknownKind { kind: plan.kind.clone(), known });
        }
    }
    Ok(silent)
}

async fn kinds_of(
    address: &Address,
    config: &Config,
) -> Result<Result<Vec<KindView>, ReadError>, ClientError> {
    let timeout = config.timeout.min(LOOK_MAX);
    let client = Client::new(Config { addresses: vec![address.clone()], timeout, ..config.clone() })?;
    Ok(client.kinds().await)
}

async fn look_for_keys(plan: &Plan, client: &Client) -> Result<(), StartError> {
    let query = ListQuery::of(&*plan.kind)?.prefix(&*plan.key_prefix).limit(1);
    let page = client.list(&query).await.map_err(StartError::Look)?;
    match page.entities.into_iter().next() {
        None => Ok(()),
        Some(listed) => Err(StartError::KeysInUse {
            kind: plan.kind.clone(),
            prefix: plan.key_prefix.clone(),
            key: listed.key,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::load::testing::plan;

    /// Once the addresses of this machine were forgotten, and the load ran out of files instead of saying so before.
    #[test]
    fn over_http_each_address_of_this_machine_has_connections_to_each_gateway() {
        let gateways = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"];
        let config = Config::new(gateways).unwrap();
        let from = vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 2).into()];
        let files = |transport, from: &[IpAddr]| {
            let access = Access { config: config.clone(), from: from.to_vec(), reuse: false };
            files(&Plan { transport, connections: 10, ..plan() }, &access) - FILES_BESIDE
        };
        assert_eq!((files(Transport::Http, &[]), files(Transport::Http, &from)), (30, 60));
        assert_eq!(files(Transport::Websocket, &from), 10);
    }
}
