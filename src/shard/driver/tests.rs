//! One executor over a group that commits at once.

use bytes::Bytes;
use futures_util::FutureExt;
use playhouse_cluster::{
    consensus::GroupId,
    store::{Batch, Engine, Memory, Pairs},
};
use tokio::{sync::oneshot, time::sleep};

use super::*;
use crate::{
    entity::Entity,
    kinds::Counter,
    protocol::{Key, KindName},
    shard::{
        CastOutcome, MailboxConfig,
        envelope::{Envelope, ReplyTo},
        keys::{self, Family},
        records::{OutboxCast, encode},
    },
    testing::group::Solo,
};

const TERM: Term = Term(1);
const RESIDENT_BYTES_MAX: usize = 1 << 20;

/// Nothing that is sent arrives.
struct Nowhere;

impl Outgoing for Nowhere {
    fn cast(&self, _: Cast) {}

    fn cast_once(&self, _: EntityId, _: Body) {}

    fn call(&self, _: EntityId, _: Body, _: Duration) -> BoxFuture<'static, Result<Reply, CallError>> {
        Box::pin(std::future::pending())
    }
}

fn services(environment: &Environment) -> ShardServices {
    let mut kinds = KindRegistry::default();
    kinds.register::<Counter>().unwrap();
    ShardServices {
        kinds: Arc::new(kinds),
        config: Config::default(),
        outgoing: Arc::new(Nowhere),
        environment: environment.clone(),
        residents: ResidentBudget::new(RESIDENT_BYTES_MAX),
        metrics: Metrics::new("test"),
        traces: Traces::off(),
    }
}

/// The key of a cast that waits in the outbox, in a store that holds it.
fn store_with_a_cast() -> (Arc<Memory>, bytes::Bytes) {
    let memory = Memory::new();
    let key = keys::number(Family::Outbox, 1);
    let cast = OutboxCast { target: EntityId::new("counter", "visits").unwrap(), body: Body::json("1") };
    let mut batch = Batch::new();
    batch.put(key.clone(), encode(&cast));
    memory.write(&batch).unwrap();
    (memory, key)
}

/// Whoever moves a leadership waits until its executor is quiet, and moves it then. A proposal in the middle of that would be
/// refused, and the old leader would run against the one that was chosen.
#[tokio::test(start_paused = true)]
async fn a_paused_executor_proposes_nothing_when_it_has_said_that_it_is_quiet() {
    let (memory, key) = store_with_a_cast();
    let running = Started::over(Arc::new(Solo::new(Arc::clone(&memory), TERM)), MailboxConfig::default());
    let (mailbox, handover) = (&running.mailbox, &running.handover);

    sleep(Duration::from_millis(5)).await;
    mailbox.push(Message::CastDone { number: 1, outcome: CastOutcome::Executed }).ok().unwrap();
    sleep(Duration::from_millis(1)).await;
    handover.pause().await;
    sleep(3 * TICK).await;
    assert!(memory.get(&key).unwrap().is_some(), "the acknowledgement waits until the pause is over");
    handover.resume();
    sleep(Duration::from_millis(100)).await;
    assert!(memory.get(&key).unwrap().is_none(), "then it is written");
    running.end().await;
}

/// Only ten thousand were looked at in a second, so entities that were woken faster than that took memory without a bound.
#[tokio::test(start_paused = true)]
async fn entities_that_are_too_many_go_to_sleep_as_fast_as_they_woke() {
    const WOKEN: usize = 100_000;
    let running = Started::over(Arc::new(Solo::new(Memory::new(), TERM)), MailboxConfig::default());
    for number in 0..WOKEN {
        running.send_to(&format!("visits-{number}"), r#"{"add": 1}"#);
        if number % 1_000 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    // The idle time has to be halved some times before any of them counts as idle.
    sleep(12 * TICK).await;
    let resident = running.statistics.borrow().tables.resident_bytes;
    assert!(resident <= RESIDENT_BYTES_MAX, "{resident} bytes");
    running.end().await;
}

/// An executor that runs.
struct Started {
    statistics: watch::Receiver<ShardStatistics>,
    mailbox: Mailbox,
    handover: Handover,
    metrics: Metrics,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Started {
    fn over(group: Arc<dyn Group>, mailbox: MailboxConfig) -> Self {
        let environment = Environment::simulated(1);
        let (mailbox, handover) = (Mailbox::new(mailbox), Handover::default());
        let (stop, stopped) = watch::channel(false);
        let (tell, statistics) = watch::channel(ShardStatistics::default());
        let executor = Executor {
            shard: ShardId(0),
            term: TERM,
            group,
            mailbox: mailbox.clone(),
            statistics: tell,
            stopped,
            handover: handover.clone(),
        };
        let (services, hasher) = (services(&environment), environment.hasher());
        let metrics = services.metrics.clone();
        let task = environment.spawn(async move { run(executor, services, &hasher).await });
        Self { statistics, mailbox, handover, metrics, stop, task }
    }

    /// Sends a counter a command.
    fn send(&self, command: &str) -> oneshot::Receiver<Result<Reply, CallError>> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.push(Message::Command(envelope(command, ReplyTo::Caller(reply)))).ok().unwrap();
        answer
    }

    /// Sends another counter a command, and does not wait for the answer.
    fn send_to(&self, key: &str, command: &str) {
        let (reply, _) = oneshot::channel();
        let envelope = Envelope { key: Key::new(key).unwrap(), ..envelope(command, ReplyTo::Caller(reply)) };
        self.mailbox.push(Message::Command(envelope)).ok().unwrap();
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap().unwrap();
    }
}

fn envelope(command: &str, reply: ReplyTo) -> Envelope {
    Envelope {
        kind: KindIndex(0),
        key: Key::new("visits").unwrap(),
        body: Body::json(command.to_owned()).into(),
        reply,
        position: None,
        deadline: None,
        more: None,
    }
}

/// A group whose majority answers when it is told to.
struct Slow {
    memory: Arc<Memory>,
    leadership: watch::Sender<Leadership>,
    proposed: Mutex<Vec<Box<dyn Observer>>>,
    committed: Mutex<Vec<Box<dyn Observer>>>,
    /// Barriers that were asked for, and whether they may pass.
    barriers: watch::Sender<(usize, bool)>,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(),
            leadership: watch::Sender::new(Leadership::Leader { term: TERM }),
            proposed: Mutex::default(),
            committed: Mutex::default(),
            barriers: watch::Sender::new((0, false)),
        })
    }

    fn commit(&self) {
        for mut observer in self.proposed.lock().drain(..) {
            observer.progress(Progress::Committed);
            self.committed.lock().push(observer);
        }
    }

    /// The store has what was committed.
    fn apply(&self) {
        self.committed.lock().drain(..).for_each(|mut observer| observer.progress(Progress::Applied));
    }

    fn pass(&self, may_pass: bool) {
        self.barriers.send_modify(|barriers| barriers.1 = may_pass);
    }

    fn asked(&self) -> usize {
        self.barriers.borrow().0
    }
}

impl Group for Slow {
    fn id(&self) -> GroupId {
        GroupId(0)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn propose(&self, _: Term, _: u64, changes: Batch, observer: Box<dyn Observer>) -> BoxFuture<'_, ()> {
        self.memory.write(&changes).unwrap();
        self.proposed.lock().push(observer);
        Box::pin(std::future::ready(()))
    }

    fn read_barrier(&self, _: Term) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async move {
            self.barriers.send_modify(|barriers| barriers.0 += 1);
            drop(self.barriers.subscribe().wait_for(|barriers| barriers.1).await);
            Ok(())
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Pairs, StoreError> {
        self.memory.scan(from..to, limit)
    }
}

/// What commits a proposal may be from before another leader committed more, so who saw it on its way may have seen old state.
#[tokio::test(start_paused = true)]
async fn a_read_that_saw_a_proposal_on_its_way_passes_a_barrier_after_the_commit() {
    let group = Slow::new();
    let running = Started::over(group.clone(), MailboxConfig::default());
    let write = running.send(r#"{"add": 1}"#);
    sleep(Duration::from_millis(1)).await;
    let mut read = running.send(r#"{"get": {}}"#);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(group.asked(), 0, "what it saw is not committed");
    group.commit();
    assert!(write.await.unwrap().is_ok());
    sleep(Duration::from_millis(1)).await;
    assert!((&mut read).now_or_never().is_none(), "no majority has said that this is still the leader");
    assert_eq!(group.asked(), 1);
    group.pass(true);
    assert!(read.await.unwrap().is_ok());
    running.end().await;
}

/// News of the store wake an executor only if it waits for them; the next tick would be a second later.
#[tokio::test(start_paused = true)]
async fn an_executor_that_waits_for_the_store_goes_on_at_once() {
    let group = Slow::new();
    let running = Started::over(group.clone(), MailboxConfig::default());
    let in_flight_max = Config::default().in_flight_max.get();
    for number in 0..in_flight_max {
        let write = running.send(r#"{"add": 1}"#);
        sleep(Duration::from_millis(1)).await;
        group.commit();
        assert!(write.await.unwrap().is_ok(), "the store has none of the {number} before");
    }
    let mut last = running.send(r#"{"add": 1}"#);
    sleep(Duration::from_millis(1)).await;
    group.commit();
    assert!((&mut last).now_or_never().is_none(), "as many as may be are on their way to the store");
    group.apply();
    sleep(Duration::from_millis(1)).await;
    group.commit();
    assert!(last.await.unwrap().is_ok());

    let began = Instant::now();
    let handover = running.handover.clone();
    let paused = handover.pause();
    tokio::pin!(paused);
    assert!(
        tokio::time::timeout(Duration::from_millis(1), &mut paused).await.is_err(),
        "the store lacks one"
    );
    group.apply();
    paused.await;
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    running.end().await;
}

/// They did not happen, and whoever waits is told so.
#[tokio::test(start_paused = true)]
async fn reads_that_wait_for_a_barrier_are_refused_at_the_end_of_the_term() {
    let group = Slow::new();
    let running = Started::over(group.clone(), MailboxConfig::default());
    let mut reads = Vec::new();
    for _ in 0..2 {
        reads.push(running.send(r#"{"get": {}}"#));
        sleep(Duration::from_millis(1)).await;
    }
    assert!(group.asked() > 0);
    running.end().await;
    for read in reads {
        assert_eq!(read.await.unwrap(), Err(CallError::NotCommitted));
    }
}

/// Nobody waits for them, so the count is the only trace.
#[tokio::test(start_paused = true)]
async fn what_found_no_room_is_counted_although_the_term_ends_first() {
    let group = Slow::new();
    let running = Started::over(group.clone(), MailboxConfig::default());
    let metrics = running.metrics.clone();
    for _ in 0..100 {
        running.mailbox.lose(envelope(r#"{"add": 1}"#, ReplyTo::Nobody)).ok().unwrap();
    }
    running.end().await;
    assert_eq!(metrics.dead_letters.with_label_values(&[Counter::KIND]).get(), 100);
}

/// It would hear nothing until the entity comes to that revision, and miss what is published on the way.
#[tokio::test(start_paused = true)]
async fn a_revision_that_an_entity_has_not_reached_cannot_be_subscribed_behind() {
    let group = Slow::new();
    group.pass(true);
    let running = Started::over(group, MailboxConfig::default());
    let (reply, answer) = oneshot::channel();
    let (subscriber, mut items) = tokio::sync::mpsc::channel(1);
    let key = Key::new("visits").unwrap();
    let kind = KindName::new(Counter::KIND).unwrap();
    let subscribe = Message::Subscribe { kind, key, after: Some(5), subscriber, reply };
    running.mailbox.push(subscribe).ok().unwrap();
    let refused = answer.await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "cannot subscribe: revision 5 was asked for, and the last one is 0");
    assert_eq!(items.recv().await, None, "no subscription is left");
    running.end().await;
}

/// A node that led once may lack a kind that the leader has.
#[tokio::test(start_paused = true)]
async fn that_a_kind_is_unknown_is_said_to_a_subscriber_behind_a_barrier() {
    let group = Slow::new();
    let running = Started::over(group.clone(), MailboxConfig::default());
    let (reply, mut answer) = oneshot::channel();
    let (subscriber, _items) = tokio::sync::mpsc::channel(1);
    let (kind, key) = (KindName::new("cuonter").unwrap(), Key::new("visits").unwrap());
    running.mailbox.push(Message::Subscribe { kind, key, after: None, subscriber, reply }).ok().unwrap();
    sleep(Duration::from_millis(1)).await;
    assert!((&mut answer).now_or_never().is_none(), "no majority has said that this is still the leader");
    assert_eq!(group.asked(), 1);
    group.pass(true);
    assert_eq!(answer.await.unwrap(), Err(CallError::UnknownKind { kind: "cuonter".to_owned() }));
    running.end().await;
}

/// It was read and decoded each time, to be thrown away.
#[tokio::test(start_paused = true)]
async fn a_cast_that_arrived_is_removed_without_being_read() {
    let (memory, key) = store_with_a_cast();
    let running = Started::over(Arc::new(Solo::new(Arc::clone(&memory), TERM)), MailboxConfig::default());
    sleep(Duration::from_millis(5)).await;
    let mut unreadable = Batch::new();
    unreadable.put(key.clone(), Bytes::from_static(b"no cast"));
    memory.write(&unreadable).unwrap();
    running.mailbox.push(Message::CastDone { number: 1, outcome: CastOutcome::Executed }).ok().unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(memory.get(&key).unwrap().is_none());
    running.end().await;
}
