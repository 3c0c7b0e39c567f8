//! Authenticated links to the other nodes, and who of them answers.
//!
//! Comes in: addresses that were discovered, the cookie of the cluster, services that answer requests, bytes to send.
//! Leaves: who is there ([`Peering::peers`]), answers, and bytes that peers pushed.
//!
//! * **Each node dials its own connections for what it asks or sends**; answers return on the same connection. So there are
//!   two connections per pair of nodes and [`Lane`] (one for [`Lane::Processes`] and for [`Lane::Mail`]), and no lane blocks another.
//! * **Nobody speaks before both ends proved the cookie** (Noise `NNpsk0`), and nothing happens for a recorded handshake
//!   that is played again.
//! * **The newest incarnation of a node wins.** An older one is refused, and told so.
//! * **A connection that leads nowhere never counts as alive**: a peer is [`Liveness::Alive`] only while each of the two
//!   nodes gets answers from the other on connections that it dialed itself.
//! * **Order**: frames and requests of one session arrive in the order in which they were given, at most once.

mod acceptor;
#[cfg(test)]
mod captured_log;
mod config;
mod consensus;
mod cookie;
mod cookie_file;
mod dialer;
mod discovery;
mod entry;
mod error;
mod frame;
mod handshake;
mod heartbeat;
mod hello;
mod lane;
mod link;
mod notice;
mod outbox;
pub mod processes;
mod reader;
mod record;
mod requests;
mod service;
mod session;
mod statistics;
mod table;
mod tasks;
mod window;
mod writer;

#[doc(hidden)]
pub mod fuzzing;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use crate::environment::watch;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{sync::Notify, time::timeout};

pub use config::{Config, Encryption};
pub use consensus::{CONSENSUS, ConsensusService, ConsensusTransport};
pub use cookie::{Cookie, CookieError, CookieSource, Cookies};
pub use cookie_file::{CookieFileError, CookieFiles, CookieFilesConfig};
pub use discovery::{
    Discovery, Dns, DnsConfig, NameServers, Resolve, ResolveError, ServiceTarget, StaticList,
};
pub use error::{PeeringError, PushError, RequestError};
pub use hello::{Refusal, RefusalKind};
pub use lane::{Lane, LaneClass};
pub use service::{Service, ServiceId, ShardFrames};
pub use session::Session;
pub use statistics::{Counter, Statistics, Traffic};

use self::{dialer::Dialer, hello::Protocols, link::Link, notice::Notices, table::Table, tasks::Tasks};
use crate::{
    consensus::RaftId,
    environment::{Environment, Listener},
    identity::{ClusterId, Incarnation},
};

/// How long [`Peering::stop`] waits for what was already given to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// What this node tells its peers about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its name: one line, not empty.
    pub name: String,
    /// Its identity in Raft.
    pub raft_id: RaftId,
    /// This start of it.
    pub incarnation: Incarnation,
    /// The release that it runs.
    pub release: String,
    /// Where it runs: nodes of one zone fail together.
    pub zone: String,
    /// Its track, for progressive delivery.
    pub track: String,
    /// The number of shards of the cluster. A peer with another number is refused.
    pub shards: u32,
}

/// What a peer told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name. Two peers may have the same: membership decides which one counts.
    pub name: String,
    /// Its identity in Raft.
    pub raft_id: RaftId,
    /// That start of it.
    pub incarnation: Incarnation,
    /// The release that it runs.
    pub release: String,
    /// Where it runs.
    pub zone: String,
    /// Its track.
    pub track: String,
    /// The cluster that it belongs to, if it has joined one. In [`PeerStatus`] this follows what it says later; in
    /// [`Session::peer`] it is what it said when the session opened.
    pub cluster_id: Option<ClusterId>,
    /// The protocol that both agreed to speak.
    pub protocol: u16,
}

/// Whether a peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Both nodes get answers from each other on connections that they dialed themselves.
    Alive,
    /// One of them does not, or did not yet. Steers where to send; says nothing about membership.
    Suspect,
}

/// What is known about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who it is.
    pub peer: Arc<Peer>,
    /// Whether it answers.
    pub liveness: Liveness,
    /// Whether its store takes writes, as it said last.
    pub store_healthy: bool,
    /// Where it was reached, as `host:port`; empty as long as only it reached us.
    pub address: String,
}

/// The links of a node to all others. A cheap handle; the links close when the last one is dropped, or by
/// [`stop`](Self::stop), which is the way for a node whose services hold a handle themselves.
///
/// ```
/// use std::{collections::{BTreeMap, BTreeSet}, sync::Arc};
/// use playhouse_cluster::{
///     consensus::RaftId,
///     environment::Environment,
///     identity::Incarnation,
///     peering::{Config, Cookie, Cookies, Local, Peering, Session, ShardFrames},
/// };
/// use playhouse_cluster::environment::watch;
///
/// struct Ignored;
///
/// impl ShardFrames for Ignored {
///     fn opened(&self, _: &Arc<Session>) {}
///     fn frames(&self, _: &Arc<Session>, _: &mut dyn Iterator<Item = &[u8]>) {}
///     fn closed(&self, _: &Arc<Session>) {}
/// }
///
/// async fn start(raft_id: u64, seeds: BTreeSet<String>) -> Peering {
///     let local = Local {
///         name: format!("node-{raft_id}"),
///         raft_id: RaftId(raft_id),
///         incarnation: Incarnation(1),
///         release: "1.0.0".into(),
///         zone: "a".into(),
///         track: "stable".into(),
///         shards: 128,
///     };
///     let config = Config { listen: "127.0.0.1:0".into(), ..Config::default() };
///     let cookies = Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None };
///     let (cookies, seeds) = (Arc::new(cookies), Arc::new(watch::Sender::new(seeds)));
///     let (services, environment) = (BTreeMap::new(), Environment::simulated(raft_id));
///     Peering::start(config, local, None, cookies, seeds, services, Arc::new(Ignored), environment).await.unwrap()
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let first = start(1, BTreeSet::new()).await;
/// let second = start(2, [first.address().to_owned()].into()).await;
///
/// let mut peers = second.peers();
/// let peers = peers.wait_for(|peers| !peers.is_empty()).await.unwrap();
/// assert_eq!(peers[&RaftId(1)].peer.name, "node-1");
/// # });
/// ```
#[derive(Clone)]
pub struct Peering {
    handle: Arc<Handle>,
}

struct Handle {
    link: Arc<Link>,
    address: String,
}

impl Peering {
    /// Listens, and starts to dial what is discovered. Peers come and go in [`peers`](Self::peers).
    ///
    /// # Errors
    ///
    /// When settings contradict each other, `local` cannot be told to peers, or the listener cannot be opened. Nothing is
    /// open then.
    #[allow(clippy::too_many_arguments)] // One place calls it, and each is another matter.
    pub async fn start(
        config: Config,
        local: Local,
        cluster_id: Option<ClusterId>,
        cookies: Arc<dyn CookieSource>,
        discovery: Arc<dyn Discovery>,
        services: BTreeMap<ServiceId, Arc<dyn Service>>,
        shard_frames: Arc<dyn ShardFrames>,
        environment: Environment,
    ) -> Result<Self, PeeringError> {
        config.check()?;
        let link = Arc::new(Link {
            table: Table::new(&config, cluster_id),
            protocols: Protocols::OURS,
            statistics: Arc::default(),
            tasks: Tasks::new(environment.clone()),
            notices: Notices::new(environment.clone()),
            redial: Notify::new(),
            origin: environment.now(),
            sessions: AtomicU64::new(1),
            budgets: parking_lot::Mutex::default(),
            frames: shard_frames,
            config,
            local,
            cookies,
            services,
            environment,
        });
        Self::start_link(link, &*discovery).await
    }

    async fn start_link(link: Arc<Link>, discovery: &dyn Discovery) -> Result<Self, PeeringError> {
        check_hello(&link)?;
        let listener = listen(&link).await?;
        let address = listener.address();
        let discovered = discovery.addresses();
        let dialer = Dialer::new(Arc::clone(&link), discovered.clone());
        link.tasks.spawn_vital_until_stop("acceptor of links", acceptor::run(Arc::clone(&link), listener));
        link.tasks
            .spawn_vital_until_stop("heartbeat of links", heartbeat::run(Arc::clone(&link), discovered));
        link.tasks.spawn_vital_until_stop("dialer of links", dialer.run());
        Ok(Self { handle: Arc::new(Handle { link, address }) })
    }

    /// Where this node listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.handle.address
    }

    /// All peers that are known. The current value is always there.
    ///
    /// A peer leaves it when it was unreachable for `forget_after` and its address is not discovered any more, or when
    /// another node answers at its address.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Arc<BTreeMap<RaftId, PeerStatus>>> {
        self.link().table.peers()
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> &Arc<Statistics> {
        &self.link().statistics
    }

    /// Sends a request. It is in the send buffer when this returns, so requests to one peer and lane arrive in the order of
    /// the calls. The future is the answer; it fails at once when the session closes, and dropping it forgets the answer.
    pub fn request(
        &self,
        to: RaftId,
        lane: Lane,
        service: ServiceId,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, RequestError>> {
        self.request_with(to, lane, service, |buffer| buffer.extend_from_slice(&body))
    }

    /// As [`request`](Self::request); `encode` appends the body to the send buffer.
    pub fn request_with(
        &self,
        to: RaftId,
        lane: Lane,
        service: ServiceId,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> BoxFuture<'static, Result<Bytes, RequestError>> {
        let session = self.link().table.dialed(to, lane).ok_or_else(|| {
            let reason = "there is no session".to_owned();
            RequestError::Unreachable { to, reason }
        });
        match session.and_then(|session| session.request(service, encode)) {
            Ok(answer) => answer,
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// Our session to a peer on a shard lane, to push frames. None: it is not connected, or `lane` is another lane, on which
    /// only requests go.
    #[must_use]
    pub fn session(&self, to: RaftId, lane: Lane) -> Option<Arc<Session>> {
        matches!(lane, Lane::Shard(_)).then(|| self.link().table.dialed(to, lane)).flatten()
    }

    /// This node joined a cluster, for ever. Peers hear it at once; those of another cluster are disconnected.
    pub fn set_cluster_id(&self, cluster_id: ClusterId) {
        let link = self.link();
        link::close_all(
            link.table.set_cluster_id(cluster_id, link.now_ms()),
            "it belongs to another cluster",
        );
        self.tell();
    }

    /// Whether the store of this node takes writes. Peers hear it at once.
    pub fn set_store_healthy(&self, store_healthy: bool) {
        self.link().table.set_store_healthy(store_healthy);
        self.tell();
    }

    /// Closes everything and returns when all tasks of the link have ended. What was given before is still written, within a
    /// second. What services do with requests goes on, and nobody hears of it.
    pub async fn stop(&self) {
        let link = self.link();
        link.tasks.stop();
        let sessions = link.table.stop(link.now_ms());
        sessions.iter().for_each(|session| session.flush_and_close("this node stops"));
        if timeout(FLUSH_TIMEOUT, link.tasks.ended()).await.is_err() {
            link::close_all(sessions, "this node stops");
            link.tasks.ended().await;
        }
    }

    fn tell(&self) {
        let link = self.link();
        link.table.dialed_control().iter().for_each(|session| link.ping(session));
    }

    fn link(&self) -> &Arc<Link> {
        &self.handle.link
    }
}

impl fmt::Debug for Peering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Peering").field("address", &self.handle.address).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.tasks.stop();
        link::close_all(self.link.table.stop(self.link.now_ms()), "this node stops");
    }
}

/// Peers must accept what this node says about itself.
fn check_hello(link: &Link) -> Result<(), PeeringError> {
    // The longest there will be: with a cluster.
    let hello = hello::Hello { cluster_id: Some(ClusterId(u128::MAX)), ..link.hello(Lane::Shard(u8::MAX)) };
    hello.check().map_err(|error| PeeringError::Local(error.to_string()))?;
    let (bytes, bytes_max) = (hello::encode(link.protocols, &hello).len() + 1, link.config.hello_bytes_max);
    if bytes > bytes_max {
        return Err(PeeringError::Local(format!("it has {bytes} bytes, at most {bytes_max} are allowed")));
    }
    Ok(())
}

async fn listen(link: &Link) -> Result<Box<dyn Listener>, PeeringError> {
    let address = &link.config.listen;
    let listener = link.environment.network().listen(address).await;
    listener.map_err(|source| PeeringError::Listen { address: address.clone(), source })
}

#[cfg(test)]
mod tests;
