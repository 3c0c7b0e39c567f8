//! Replicas in one process, over a network that delays, cuts, loses and counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::super::*;
use crate::{
    consensus::{Lane, TransportError},
    store::{self, Memory},
};

pub const GROUP: GroupId = GroupId(1);
/// As between nodes.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// No wait of a test takes longer; without a limit, paused time would run on for ever.
const LIMIT: Duration = Duration::from_secs(300);

type Way = (RaftId, RaftId);
/// What arrives, and where somebody waits for it.
type Answer = (oneshot::Sender<Bytes>, Bytes);

/// What becomes of a message on a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The sender hears at once that it did not arrive.
    Refused,
    /// Nobody ever hears of it.
    Silent,
}

/// The network between the replicas.
pub struct Mesh {
    environment: Environment,
    /// One way takes between zero and this.
    pub delay_max: Duration,
    nodes: Mutex<BTreeMap<RaftId, Node>>,
    ways: Mutex<BTreeMap<Way, mpsc::UnboundedSender<Message>>>,
    cuts: Mutex<BTreeMap<Way, Cut>>,
    /// Every so many messages one is lost; 0: none.
    pub lose_one_in: Mutex<u64>,
    /// Answers for which somebody waits for ever.
    silenced: Mutex<Vec<oneshot::Sender<Bytes>>>,
    /// Answers that wait on ways where they are held.
    held: Mutex<BTreeMap<Way, Vec<Answer>>>,
    pub counts: Mutex<Counts>,
}

/// What was seen on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub sent: usize,
    pub in_flight: usize,
    pub in_flight_most: usize,
    pub bytes: usize,
    pub bytes_most: usize,
}

impl Counts {
    /// Forgets what was sent; what is on its way still is.
    pub fn restart(&mut self) {
        *self = Self { sent: 0, in_flight_most: self.in_flight, bytes_most: self.bytes, ..*self };
    }
}

/// Counts a request until its answer came or nobody wants it any more.
struct InFlight(Arc<Mesh>, usize);

impl InFlight {
    fn begin(mesh: &Arc<Mesh>, bytes: usize) -> Self {
        let mut counts = mesh.counts.lock();
        counts.sent += 1;
        counts.in_flight += 1;
        counts.in_flight_most = counts.in_flight_most.max(counts.in_flight);
        counts.bytes += bytes;
        counts.bytes_most = counts.bytes_most.max(counts.bytes);
        Self(mesh.clone(), bytes)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.0.counts.lock();
        counts.in_flight -= 1;
        counts.bytes -= self.1;
    }
}

struct Message {
    arrives: Instant,
    request: Bytes,
    answer: oneshot::Sender<Bytes>,
}

/// A replica with what is under it.
#[derive(Clone)]
pub struct Node {
    pub group: RaftGroup,
    pub environment: Environment,
    pub store: Store,
    pub disk: Arc<Memory>,
}

struct Link {
    from: RaftId,
    mesh: Arc<Mesh>,
}

impl Transport for Link {
    fn send(
        &self,
        to: RaftId,
        _: GroupId,
        _: Lane,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let lost = move |reason: &str| TransportError { to, reason: reason.to_owned() };
        if request.len() > FRAME_BYTES_MAX {
            return Box::pin(std::future::ready(Err(lost("too large"))));
        }
        let in_flight = InFlight::begin(&self.mesh, request.len());
        let (answer, answered) = oneshot::channel();
        if let Some(answer) = self.mesh.pass(self.from, to, answer) {
            self.mesh.clone().put((self.from, to), request, answer);
        }
        async move {
            let result = answered.await;
            drop(in_flight);
            result.map_err(|_| lost("cut or lost"))
        }
        .boxed()
    }
}

impl Mesh {
    pub fn new(seed: u64, delay_max: Duration) -> Arc<Self> {
        Arc::new(Self {
            environment: Environment::simulated(seed),
            delay_max,
            nodes: Mutex::default(),
            ways: Mutex::default(),
            cuts: Mutex::default(),
            lose_one_in: Mutex::default(),
            silenced: Mutex::default(),
            held: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Puts a message on the wire. Those of one way arrive in order.
    fn put(self: Arc<Self>, way: Way, request: Bytes, answer: oneshot::Sender<Bytes>) {
        let message = Message { arrives: self.arrival(), request, answer };
        let mesh = self.clone();
        let mut ways = self.ways.lock();
        let sender = ways.entry(way).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.environment.spawn(mesh.carry(way, receiver));
            sender
        });
        drop(sender.send(message));
    }

    fn arrival(&self) -> Instant {
        Instant::now() + self.environment.random_duration(Duration::ZERO, self.delay_max)
    }

    async fn carry(self: Arc<Self>, way: Way, mut messages: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = messages.recv().await {
            tokio::time::sleep_until(message.arrives).await;
            let Some(node) = self.node(way.1) else { continue };
            if let Some(answer) = self.pass(way.0, way.1, message.answer) {
                let reply = node.group.receive(way.0, message.request);
                node.environment.spawn(self.clone().carry_back(way, reply, answer));
            }
        }
    }

    async fn carry_back(
        self: Arc<Self>,
        way: Way,
        reply: BoxFuture<'static, Bytes>,
        answer: oneshot::Sender<Bytes>,
    ) {
        let bytes = reply.await;
        tokio::time::sleep_until(self.arrival()).await;
        if let Some(answer) = self.pass(way.1, way.0, answer) {
            match self.held.lock().get_mut(&(way.1, way.0)) {
                Some(held) => held.push((answer, bytes)),
                None => drop(answer.send(bytes)),
            }
        }
    }

    /// Answers of `from` to `to` wait from now on, as in the socket of a process that does not run.
    pub fn hold_answers(&self, from: u64, to: u64) {
        self.held.lock().insert((RaftId(from), RaftId(to)), Vec::new());
    }

    /// All that waits arrives.
    pub fn release_answers(&self, from: u64, to: u64) {
        let held = self.held.lock().remove(&(RaftId(from), RaftId(to)));
        held.into_iter().flatten().for_each(|(answer, bytes)| drop(answer.send(bytes)));
    }

    /// `None` if the way is cut. Whoever waits for the answer hears of that, or never hears anything.
    fn pass(
        &self,
        from: RaftId,
        to: RaftId,
        answer: oneshot::Sender<Bytes>,
    ) -> Option<oneshot::Sender<Bytes>> {
        let lose_one_in = *self.lose_one_in.lock();
        let is_lost = lose_one_in > 0 && self.environment.random_u64().is_multiple_of(lose_one_in);
        match self.cut_between(from, to).or(is_lost.then_some(Cut::Silent)) {
            None => return Some(answer),
            Some(Cut::Refused) => drop(answer),
            Some(Cut::Silent) => self.silenced.lock().push(answer),
        }
        None
    }

    fn node(&self, id: RaftId) -> Option<Node> {
        self.nodes.lock().get(&id).cloned()
    }

    fn cut_between(&self, from: RaftId, to: RaftId) -> Option<Cut> {
        self.cuts.lock().get(&(from, to)).copied()
    }

    pub fn cut(&self, from: u64, to: u64, how: Cut) {
        self.cuts.lock().insert((RaftId(from), RaftId(to)), how);
    }

    /// Cuts `id` off from everybody, both ways.
    pub fn isolate(&self, id: u64, how: Cut) {
        let others: Vec<u64> = self.nodes.lock().keys().map(|other| other.0).collect();
        for other in others.into_iter().filter(|other| *other != id) {
            self.cut(id, other, how);
            self.cut(other, id, how);
        }
    }

    pub fn heal(&self) {
        self.cuts.lock().clear();
    }

    /// Starts a replica with an empty disk.
    pub async fn start(self: &Arc<Self>, id: u64, config: &Config) -> Node {
        self.start_on(id, Memory::new(), config).await
    }

    /// Starts a replica with what is on `disk`.
    pub async fn start_on(self: &Arc<Self>, id: u64, disk: Arc<Memory>, config: &Config) -> Node {
        let environment = Environment::simulated(self.environment.random_u64());
        let store = Store::start(disk.clone(), &environment, store::Config::default()).unwrap();
        let link = Arc::new(Link { from: RaftId(id), mesh: self.clone() });
        let opened = RaftGroup::open(GROUP, RaftId(id), store.clone(), link, config, &environment);
        let node = Node { group: opened.await.unwrap(), environment, store, disk };
        self.nodes.lock().insert(RaftId(id), node.clone());
        node
    }

    /// Whoever still talks to it finds nobody.
    pub fn forget(&self, id: u64) {
        self.nodes.lock().remove(&RaftId(id));
    }

    /// Starts replicas `1..=count` with empty disks, and founds the group with all of them.
    pub async fn found(self: &Arc<Self>, count: u64, config: &Config) -> Vec<Node> {
        let mut nodes = Vec::new();
        for id in 1..=count {
            nodes.push(self.start(id, config).await);
        }
        nodes[0].group.found(&ids(1..=count)).await.unwrap();
        nodes
    }
}

pub fn ids(ids: impl IntoIterator<Item = u64>) -> BTreeSet<RaftId> {
    ids.into_iter().map(RaftId).collect()
}

/// Waits until `condition` holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("it did not happen within {LIMIT:?}: {what}"));
}

pub fn term_of(group: &RaftGroup) -> Option<Term> {
    match *group.leadership().borrow() {
        Leadership::Leader { term } => Some(term),
        _ => None,
    }
}

/// The one that leads in the newest term, once there is one.
pub async fn leader(nodes: &[Node]) -> (Node, Term) {
    let newest = || nodes.iter().filter_map(|node| Some((term_of(&node.group)?, node))).max_by_key(|it| it.0);
    until("one of them leads", || newest().is_some()).await;
    newest().map(|(term, node)| (node.clone(), term)).unwrap()
}

struct Teller(mpsc::UnboundedSender<Progress>);

impl Observer for Teller {
    fn progress(&mut self, progress: Progress) {
        drop(self.0.send(progress));
    }
}

/// What a proposal told of its way.
pub type News = mpsc::UnboundedReceiver<Progress>;

/// Proposes `number` as a key with a value of `bytes` bytes.
pub async fn propose(group: &RaftGroup, term: Term, number: u64, bytes: usize) -> News {
    let (sender, news) = mpsc::unbounded_channel();
    let mut batch = Batch::new();
    batch.put(number.to_be_bytes().to_vec(), vec![7; bytes]);
    group.propose(term, number, batch, Box::new(Teller(sender))).await;
    news
}

/// All that a proposal tells.
pub async fn heard(mut news: News) -> Vec<Progress> {
    let mut heard = Vec::new();
    while let Some(progress) = tokio::time::timeout(LIMIT, news.recv()).await.expect("it ends") {
        heard.push(progress);
    }
    heard
}

/// Proposes `numbers`, one behind the other, and sees them applied.
pub async fn apply(group: &RaftGroup, term: Term, numbers: std::ops::RangeInclusive<u64>, bytes: usize) {
    for number in numbers {
        let news = propose(group, term, number, bytes).await;
        assert_eq!(heard(news).await, [Progress::Committed, Progress::Applied], "proposal {number}");
    }
}

/// All state of a replica.
pub fn state(group: &RaftGroup) -> Pairs {
    group.scan(&[], &[0xff; 9], usize::MAX).unwrap()
}
