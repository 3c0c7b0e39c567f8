//! Three replicas of one shard in one process, over a network that tests can cut, with paused time.

use std::{
    collections::BTreeSet,
    num::NonZeroU16,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use playhouse_cluster::{
    consensus::{Config, Group, GroupId, Lane, Leadership, RaftGroup, RaftId, Transport, TransportError},
    environment::{Environment, watch},
    store::{self, Memory, Store},
};

use super::{
    meters,
    stop::Stop,
    supervise::{CurrentHandover, Supervisor},
};
use crate::{
    entity::KindRegistry,
    kinds::{Counter, Room, counter},
    protocol::{Body, CallError, EntityId, Key, Published, Request, RequestId, ShardId, codec},
    router::{EntityRef, PendingReply, Router, RouterIdentity},
    shard::{self, MailboxConfig, ResidentBudget, ShardServices, ShardStatistics},
    telemetry::{Metrics, traces::Traces},
};

/// Who cannot send to whom.
type Cuts = BTreeSet<(RaftId, RaftId)>;

#[derive(Default)]
pub(super) struct Mesh {
    pub(super) groups: Mutex<Vec<RaftGroup>>,
    pub(super) cuts: Mutex<Cuts>,
}

pub(super) struct Link {
    pub(super) from: RaftId,
    pub(super) mesh: Weak<Mesh>,
    pub(super) environment: Environment,
}

impl Transport for Link {
    fn send(
        &self,
        to: RaftId,
        _: GroupId,
        _: Lane,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let (from, mesh) = (self.from, self.mesh.clone());
        let lost = move || TransportError { to, reason: "cut".to_owned() };
        // On its way at once, whether or not somebody waits for the answer.
        let carried = self.environment.spawn(async move {
            let mesh = mesh.upgrade()?;
            let is_cut = |from, to| mesh.cuts.lock().contains(&(from, to));
            tokio::time::sleep(Duration::from_millis(1)).await;
            let target = mesh.groups.lock().iter().find(|group| group.own() == to).cloned();
            let answer = target.filter(|_| !is_cut(from, to))?.receive(from, request).await;
            (!is_cut(to, from)).then_some(answer)
        });
        Box::pin(async move { carried.await.ok().flatten().ok_or_else(lost) })
    }
}

struct Replica {
    group: RaftGroup,
    router: Router,
    store: Store,
}

struct Cluster {
    mesh: Arc<Mesh>,
    replicas: Vec<Replica>,
    environment: Environment,
    _stop: Stop,
}

const ONE: NonZeroU16 = NonZeroU16::new(1).unwrap();

impl Cluster {
    async fn start(config: Config) -> Self {
        let environment = Environment::simulated(1);
        let mesh = Arc::new(Mesh::default());
        let (stop, stopped) = Stop::new();
        let mut replicas = Vec::new();
        for number in 1..=3 {
            let replica = Replica::start(number, &mesh, &config, &environment, &stopped).await;
            mesh.groups.lock().push(replica.group.clone());
            replicas.push(replica);
        }
        let voters = (1..=3).map(RaftId).collect();
        replicas[0].group.found(&voters).await.unwrap();
        let cluster = Self { mesh, replicas, environment, _stop: stop };
        cluster.leader_among(&[0, 1, 2]).await;
        cluster
    }

    /// The one of these replicas that leads in the newest term, once one of them serves.
    async fn leader_among(&self, among: &[usize]) -> usize {
        for _ in 0..10_000 {
            let term = |at: usize| match *self.replicas[at].group.leadership().borrow() {
                Leadership::Leader { term } if self.replicas[at].router.led_shards() == 1 => Some(term),
                _ => None,
            };
            let newest = among.iter().filter_map(|at| Some((term(*at)?, *at))).max();
            if let Some((_, leader)) = newest {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("none of {among:?} leads");
    }

    fn cut(&self, from: usize, to: usize) {
        let id = |at: usize| self.replicas[at].group.own();
        self.mesh.cuts.lock().insert((id(from), id(to)));
    }

    fn isolate(&self, at: usize) {
        for other in (0..3).filter(|other| *other != at) {
            self.cut(at, other);
            self.cut(other, at);
        }
    }

    fn heal(&self) {
        self.mesh.cuts.lock().clear();
    }

    /// Moves leadership to `to` and waits until it serves there.
    async fn move_to(&self, to: usize) {
        for _ in 0..100 {
            let leader = self.leader_among(&[0, 1, 2]).await;
            if leader == to {
                return;
            }
            // Refused while the target is behind; then the next round tries again.
            drop(self.replicas[leader].group.transfer(self.replicas[to].group.own()).await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        panic!("leadership did not move to replica {to}");
    }

    fn add(&self, at: usize, add: i64, idempotency_key: Option<&str>) -> PendingReply {
        let body = codec::encode(&counter::Command::Add(add)).unwrap();
        let request = Request {
            target: EntityId::new("counter", "visits").unwrap(),
            body: Body::binary(body),
            request_id: RequestId::random(&self.environment),
            idempotency_key: idempotency_key.map(Into::into),
            timeout: Duration::from_secs(600),
            trace: None,
        };
        self.replicas[at].router.start(request).unwrap()
    }

    /// Publishes `item` in the room `lobby`.
    async fn publish(&self, at: usize, item: &str) {
        let request = Request {
            target: EntityId::new("room", "lobby").unwrap(),
            body: Body::json(format!(r#"{{"publish": {{"item": "{item}"}}}}"#)),
            request_id: RequestId::random(&self.environment),
            idempotency_key: None,
            timeout: Duration::from_secs(60),
            trace: None,
        };
        self.replicas[at].router.call(request).await.unwrap();
    }

    async fn value(&self, at: usize) -> Result<i64, CallError> {
        let router = self.replicas[at].router.clone();
        let counter = EntityRef::<Counter>::new(router, Key::new("visits").unwrap());
        counter.call(&counter::Command::Get {}).await.map(|reply| reply.value)
    }
}

impl Replica {
    async fn start(
        number: u64,
        mesh: &Arc<Mesh>,
        config: &Config,
        environment: &Environment,
        stopped: &watch::Receiver<bool>,
    ) -> Self {
        let own = RaftId(number);
        let store = Store::start(Memory::new(), environment, store::Config::default()).unwrap();
        let link = Arc::new(Link { from: own, mesh: Arc::downgrade(mesh), environment: environment.clone() });
        let group = RaftGroup::open(GroupId(0), own, store.clone(), link, config, environment).await.unwrap();
        let mut kinds = KindRegistry::default();
        kinds.register::<Counter>().unwrap();
        kinds.register::<Room>().unwrap();
        let (kinds, metrics) = (Arc::new(kinds), Metrics::new("test"));
        let identity = RouterIdentity { node: number, incarnation: 1 };
        let answers = meters::answer_observer(&metrics, &kinds);
        let router = Router::new(identity, ONE, Arc::clone(&kinds), environment.clone(), answers);
        let services = ShardServices {
            kinds,
            config: shard::Config::default(),
            outgoing: Arc::new(router.clone()),
            environment: environment.clone(),
            residents: ResidentBudget::new(64 << 20),
            metrics: metrics.clone(),
            traces: Traces::off(),
        };
        let supervisor = Supervisor {
            shard: ShardId(0),
            group: group.clone(),
            router: router.clone(),
            services,
            mailbox: MailboxConfig::default(),
            statistics: watch::channel(ShardStatistics::default()).0,
            metrics,
            fatal: watch::channel(None).0,
            handover: CurrentHandover::default(),
        };
        environment.spawn(supervisor.run(stopped.clone()));
        Self { group, router, store }
    }
}

fn value_of(reply: &crate::protocol::Reply) -> i64 {
    codec::decode::<counter::Value>(&reply.body).unwrap().value
}

/// Nothing here takes longer; without a limit, paused time would run on for ever.
async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("it takes less than two minutes")
}

/// A batch that never reached the majority did not happen; the same requests, sent again by the stream when the
/// node leads again, happen once.
#[tokio::test(start_paused = true)]
async fn requests_caught_in_a_lost_leadership_happen_exactly_once() {
    let cluster = Cluster::start(Config::default()).await;
    let old = cluster.leader_among(&[0, 1, 2]).await;
    cluster.isolate(old);
    let caught: Vec<_> = (0..10).map(|_| cluster.add(old, 1, None)).collect();
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let new = cluster.leader_among(&others).await;
    assert_eq!(cluster.value(new).await, Ok(0), "nothing of it reached the majority");
    cluster.heal();
    cluster.move_to(old).await;
    let replies: Vec<i64> = within(futures_util::future::join_all(caught))
        .await
        .into_iter()
        .map(|reply| value_of(&reply.unwrap()))
        .collect();
    assert_eq!(replies, (1..=10).collect::<Vec<_>>(), "in the order in which they were sent");
    assert_eq!(cluster.value(old).await, Ok(10));
}

/// The majority has the batch, but its leader never hears of it: the outcome is unknown to it, the next leader commits
/// it, and the stream's retry gets the first reply instead of a second effect.
#[tokio::test(start_paused = true)]
async fn a_retry_after_an_unknown_outcome_gets_the_first_reply() {
    let cluster = Cluster::start(Config::default()).await;
    let old = cluster.leader_among(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    others.iter().for_each(|other| cluster.cut(*other, old));
    let caught = cluster.add(old, 5, None);
    let keyed = cluster.add(old, 7, Some("once"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.isolate(old);
    let new = cluster.leader_among(&others).await;
    assert_eq!(cluster.value(new).await, Ok(12), "the new leader committed what the old one had sent");
    let retried = cluster.add(new, 7, Some("once")).await.unwrap();
    assert_eq!(value_of(&retried), 12, "the same idempotency key, through another node: the first reply");
    cluster.heal();
    cluster.move_to(old).await;
    assert_eq!(value_of(&within(caught).await.unwrap()), 5, "the reply that it had the first time");
    assert_eq!(value_of(&within(keyed).await.unwrap()), 12);
    assert_eq!(cluster.value(old).await, Ok(12), "no second effect");
}

/// A deposed leader that does not know it yet must not answer reads from its old state.
#[tokio::test(start_paused = true)]
async fn a_deposed_leader_answers_no_reads() {
    let cluster = Cluster::start(Config::default()).await;
    let old = cluster.leader_among(&[0, 1, 2]).await;
    cluster.add(old, 1, None).await.unwrap();
    cluster.isolate(old);
    let stale = cluster.value(old);
    tokio::pin!(stale);
    let early = tokio::time::timeout(Duration::from_millis(400), &mut stale).await;
    assert!(early.is_err(), "answered without a majority: {early:?}");
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let new = cluster.leader_among(&others).await;
    cluster.add(new, 1, None).await.unwrap();
    assert_eq!(cluster.value(new).await, Ok(2));
    assert!(stale.await.is_err(), "its deadline passes without an answer from old state");
}

/// The log is cut while the shard works, and no reply is lost by it.
#[tokio::test(start_paused = true)]
async fn the_log_is_bounded_while_the_shard_works() {
    let config = Config { log_entries_max: 50, log_entries_kept: 5, ..Config::default() };
    let cluster = Cluster::start(config).await;
    let leader = cluster.leader_among(&[0, 1, 2]).await;
    for _ in 0..300 {
        within(cluster.add(leader, 1, None)).await.unwrap();
    }
    let bounds = || cluster.replicas[leader].group.log_bounds();
    within(async {
        while bounds().1 < 240 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(bounds().0 >= 300, "applied and purged: {:?}", bounds());
    let next = (leader + 1) % 3;
    cluster.move_to(next).await;
    assert_eq!(cluster.value(next).await, Ok(300));
    let keys = cluster.replicas[leader].store.scan(&b"g"[..]..&b"h"[..], 10_000).unwrap().len();
    assert!(keys < 600, "log and records are bounded: {keys} keys");
}

/// While a proposal is on its way, what comes shares the next one; what is large does not wait.
#[tokio::test(start_paused = true)]
async fn small_commands_share_log_entries_and_large_ones_do_not_wait() {
    let cluster = Cluster::start(Config::default()).await;
    let leader = cluster.leader_among(&[0, 1, 2]).await;
    within(cluster.add(leader, 1, None)).await.unwrap();
    let applied = || cluster.replicas[leader].group.log_bounds().0;
    let before = applied();
    let mut pending = Vec::new();
    for _ in 0..40 {
        pending.push(cluster.add(leader, 1, None));
        executor_runs().await;
    }
    let replies = within(futures_util::future::join_all(pending)).await;
    let values: Vec<i64> = replies.into_iter().map(|reply| value_of(&reply.unwrap())).collect();
    assert_eq!(values, (2..=41).collect::<Vec<_>>());
    assert_eq!(
        applied() - before,
        2,
        "entries: the first command, and all that came before it was committed"
    );

    let before = applied();
    let large = "x".repeat(shard::Config::default().coalesce_bytes_max);
    let publish = |number| {
        let (cluster, large) = (&cluster, &large);
        async move {
            for _ in 0..number {
                executor_runs().await;
            }
            cluster.publish(leader, large).await;
        }
    };
    within(futures_util::future::join_all((0..3).map(publish))).await;
    assert_eq!(applied() - before, 3, "one entry each, none waited for the one before");
}

/// A subscription goes on with the first item that it has not seen when its shard is led here again.
#[tokio::test(start_paused = true)]
async fn a_subscription_survives_a_move_without_loss_or_repetition() {
    let cluster = Cluster::start(Config::default()).await;
    let here = cluster.leader_among(&[0, 1, 2]).await;
    let lobby = EntityId::new("room", "lobby").unwrap();
    let mut subscription = cluster.replicas[here].router.subscribe(lobby, None).await.unwrap();
    cluster.publish(here, "first").await;
    assert!(shown(&within(subscription.next()).await).contains("first"));
    let there = (here + 1) % 3;
    cluster.move_to(there).await;
    cluster.publish(there, "meanwhile").await;
    let next =
        cluster.environment.spawn(async move { (subscription.next().await, subscription.next().await) });
    cluster.move_to(here).await;
    cluster.publish(here, "last").await;
    let (second, third) = within(next).await.unwrap();
    assert!(shown(&second).contains("meanwhile"), "{second:?}");
    assert!(shown(&third).contains("last"), "{third:?}");
}

/// Lets the executor execute what it has, in no time.
async fn executor_runs() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn shown(published: &Option<Published>) -> String {
    match published {
        Some(Published::Item { item, .. }) => String::from_utf8_lossy(item).into_owned(),
        other => format!("{other:?}"),
    }
}
