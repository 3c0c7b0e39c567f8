use playhouse_cluster::store::{Batch, Engine, Memory};
use tokio::time::sleep;

use super::*;
use crate::{
    shard::{
        CastOutcome, MailboxConfig,
        keys::{self, Family},
        records::{OutboxCast, encode},
    },
    testing::group::Solo,
};

const TERM: Term = Term(1);

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
    ShardServices {
        kinds: Arc::default(),
        config: Config::default(),
        outgoing: Arc::new(Nowhere),
        environment: environment.clone(),
        residents: ResidentBudget::new(1 << 20),
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
    let environment = Environment::simulated(1);
    let (memory, key) = store_with_a_cast();
    let (mailbox, handover) = (Mailbox::new(MailboxConfig::default()), Handover::default());
    let (stop, stopped) = watch::channel(false);
    let executor = Executor {
        shard: ShardId(0),
        term: TERM,
        group: Arc::new(Solo::new(Arc::clone(&memory), TERM)),
        mailbox: mailbox.clone(),
        statistics: watch::channel(ShardStatistics::default()).0,
        stopped,
        handover: handover.clone(),
    };
    let services = services(&environment);
    let hasher = environment.hasher();
    let running = environment.spawn(async move { run(executor, services, &hasher).await });

    sleep(Duration::from_millis(5)).await;
    mailbox.push(Message::CastDone { number: 1, outcome: CastOutcome::Executed }).ok().unwrap();
    sleep(Duration::from_millis(1)).await;
    handover.pause().await;
    sleep(3 * TICK).await;
    assert!(memory.get(&key).unwrap().is_some(), "the acknowledgement waits until the pause is over");
    handover.resume();
    sleep(Duration::from_millis(100)).await;
    assert!(memory.get(&key).unwrap().is_none(), "then it is written");
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}
