//! What a link promises, seen from whole nodes and from peers that misbehave.

mod authentication;
mod frames;
mod hello;
mod liveness;
mod processes;
mod raw;
mod services;
mod sessions;
mod wires;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use crate::environment::watch;
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use self::{services::*, wires::Wires};
use super::{captured_log::CapturedLog, *};

/// No claim takes longer than this, in the time of the test.
const PATIENCE: Duration = Duration::from_secs(60);

fn cookie(byte: u8) -> Cookie {
    Cookie::derive(&[byte; 32]).unwrap()
}

fn only(byte: u8) -> Cookies {
    Cookies { first: cookie(byte), second: None }
}

fn both(first: u8, second: u8) -> Cookies {
    Cookies { first: cookie(first), second: Some(cookie(second)) }
}

/// What a node of a test is made of.
struct Setup {
    raft_id: u64,
    incarnation: u64,
    cluster_id: Option<ClusterId>,
    shards: u32,
    cookies: Cookies,
    config: Config,
    wires: Option<Arc<Wires>>,
}

struct Node {
    peering: Peering,
    seeds: Arc<watch::Sender<BTreeSet<String>>>,
    pushed: Arc<Pushed>,
    /// Requests in order of arrival.
    arrived: Arc<Arrived>,
}

fn node(raft_id: u64) -> Setup {
    Setup {
        raft_id,
        incarnation: 10,
        cluster_id: None,
        shards: 128,
        cookies: only(1),
        // Real time runs also when a busy machine does not run the test: there nobody is to be suspected for that.
        config: Config {
            listen: "127.0.0.1:0".to_owned(),
            suspect_after: PATIENCE,
            close_after: PATIENCE,
            stall_timeout: PATIENCE,
            handshake_timeout: PATIENCE,
            ..Config::default()
        },
        wires: None,
    }
}

/// Its host on simulated wires.
fn host(raft_id: u64) -> String {
    format!("node-{raft_id}")
}

impl Setup {
    fn on(self, wires: &Arc<Wires>) -> Self {
        let listen = format!("{}:1", host(self.raft_id));
        let usual = Config::default();
        Self { wires: Some(Arc::clone(wires)), ..self }.with(|config| {
            config.listen = listen;
            config.suspect_after = usual.suspect_after;
            config.close_after = usual.close_after;
            config.stall_timeout = usual.stall_timeout;
            config.handshake_timeout = usual.handshake_timeout;
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    fn local(&self) -> Local {
        Local {
            name: host(self.raft_id),
            raft_id: RaftId(self.raft_id),
            incarnation: Incarnation(self.incarnation),
            release: "1.0.0".to_owned(),
            zone: "a".to_owned(),
            track: "stable".to_owned(),
            shards: self.shards,
        }
    }

    async fn start(self) -> Node {
        let local = self.local();
        let mut environment = Environment::simulated(self.raft_id);
        if let Some(wires) = &self.wires {
            environment = environment.with_network(wires.of(&host(self.raft_id)));
        }
        let seeds = Arc::new(watch::Sender::new(BTreeSet::new()));
        let (pushed, arrived) = (Arc::new(Pushed::default()), Arc::new(Arrived::default()));
        let peering = Peering::start(
            self.config,
            local,
            self.cluster_id,
            Arc::new(self.cookies),
            Arc::clone(&seeds) as Arc<dyn Discovery>,
            services(&arrived),
            Arc::clone(&pushed) as Arc<dyn ShardFrames>,
            environment,
        );
        Node { peering: peering.await.unwrap(), seeds, pushed, arrived }
    }
}

impl Node {
    fn id(&self) -> RaftId {
        self.peering.link().local.raft_id
    }

    fn statistics(&self) -> &Statistics {
        self.peering.statistics()
    }

    fn finds(&self, other: &Node) {
        self.finds_address(other.peering.address());
    }

    fn finds_address(&self, address: &str) {
        self.seeds.send_if_modified(|seeds| seeds.insert(address.to_owned()));
    }

    fn status_of(&self, other: RaftId) -> Option<PeerStatus> {
        self.peering.peers().borrow().get(&other).cloned()
    }

    fn is_alive(&self, other: RaftId) -> bool {
        self.status_of(other).is_some_and(|status| status.liveness == Liveness::Alive)
    }

    /// Our sessions to `other`, if all lanes are up, at both ends.
    fn lanes_to(&self, other: RaftId) -> Option<Vec<u64>> {
        let link = self.peering.link();
        let lanes = std::iter::once(Lane::Control)
            .chain(Lane::others(link.config.shard_lanes.get(), std::iter::empty()));
        let answered = |session: &Arc<Session>| session.pulse.silent_ms(link.now_ms()).is_some();
        lanes
            .map(|lane| link.table.dialed(other, lane).filter(answered).map(|session| session.id()))
            .collect()
    }

    async fn echo(&self, to: RaftId, lane: Lane, body: impl Into<Bytes>) -> Result<Bytes, RequestError> {
        timeout(PATIENCE, self.peering.request(to, lane, ECHO, body.into())).await.unwrap()
    }
}

/// Two nodes that found each other.
async fn pair(first: Setup, second: Setup) -> (Node, Node) {
    let (first, second) = (first.start().await, second.start().await);
    first.finds(&second);
    second.finds(&first);
    connected(&first, &second).await;
    (first, second)
}

async fn connected(first: &Node, second: &Node) {
    eventually("both are alive, on all lanes", || {
        first.is_alive(second.id())
            && second.is_alive(first.id())
            && first.lanes_to(second.id()).is_some()
            && second.lanes_to(first.id()).is_some()
    })
    .await;
}

/// The pair is as it was: nobody lost a session, and each answers the other.
struct Unharmed<'a> {
    nodes: [&'a Node; 2],
    lanes: [Vec<u64>; 2],
}

impl<'a> Unharmed<'a> {
    fn note(first: &'a Node, second: &'a Node) -> Self {
        let lanes = [first.lanes_to(second.id()).unwrap(), second.lanes_to(first.id()).unwrap()];
        Self { nodes: [first, second], lanes }
    }

    async fn check(&self) {
        let [first, second] = self.nodes;
        assert_eq!(first.lanes_to(second.id()).as_ref(), Some(&self.lanes[0]));
        assert_eq!(second.lanes_to(first.id()).as_ref(), Some(&self.lanes[1]));
        assert!(first.is_alive(second.id()) && second.is_alive(first.id()));
        assert_eq!(first.echo(second.id(), Lane::Bulk, "still here?").await.unwrap(), "still here?");
        assert_eq!(second.echo(first.id(), Lane::Consensus, "and you?").await.unwrap(), "and you?");
    }
}

/// How many of the warnings since the last call have all of these words.
fn warned(log: &CapturedLog, words: &[&str]) -> usize {
    let lines = log.take();
    let is_it = |(level, line): &&(tracing::Level, String)| {
        *level == tracing::Level::WARN && words.iter().all(|word| line.contains(word))
    };
    lines.iter().filter(is_it).count()
}

/// Looks again and again, until the claim is true.
async fn eventually(claim: &str, mut is_true: impl FnMut() -> bool) {
    let waiting = async {
        while !is_true() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never true: {claim}"));
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it ends in time")
}
