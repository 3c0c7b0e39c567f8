//! A process that consumes a queue: below a supervisor, which is below the one process of its name in the cluster.

use std::time::Duration;

use playhouse::{
    kinds::{Counter, Queue, counter, queue},
    node::{ApplicationError, Handle},
    process::{
        ChildSpec, ClusterNames, Mailbox, Portable, Process, Singleton, Strategy, Supervisor, SupervisorRef,
    },
    protocol::{CallError, Key},
    router::{EntityRef, Router},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};

/// The queue, and the name of the process in the cluster.
pub const QUEUE: &str = "work";
pub const CONSUMER: &str = "consumer";
/// How often an item was worked at, and how often its acknowledgement was answered.
pub const WORKED: &str = "worked";
pub const ACKED: &str = "acked";
/// How often the process heard of the bell.
pub const HEARD: &str = "heard";
/// Items whose number is a multiple of this crash the first who works at them.
pub const BAD_LUCK: u64 = 7;
/// How long an item is nobody else's.
const VISIBILITY_MS: u64 = 2_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// On each node.
pub async fn open(node: Handle) -> Result<SupervisorRef, ApplicationError> {
    let names = node.cluster_names().ok_or("a node with a distribution has names")?.clone();
    let head = (node.router().clone(), node.name().to_owned());
    let part = ChildSpec::process("part", Mailbox::default(), move || (Part(names.clone()), head.clone()));
    Ok(Supervisor::new(Strategy::OneForOne).child(part).start().await?)
}

/// Takes part in keeping the one process of its name, as long as it lives.
struct Part(ClusterNames);

struct Never;

impl ractor::Message for Never {}

impl Actor for Part {
    type Msg = Never;
    type State = Option<Singleton>;
    type Arguments = (Router, String);

    async fn pre_start(
        &self,
        _: ActorRef<Never>,
        head: (Router, String),
    ) -> Result<Option<Singleton>, ActorProcessingErr> {
        Ok(Some(self.0.singleton(CONSUMER, Mailbox::default(), move || (Head, head.clone()))?))
    }

    async fn post_stop(
        &self,
        _: ActorRef<Never>,
        singleton: &mut Option<Singleton>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(singleton) = singleton.take() {
            singleton.stop().await;
        }
        Ok(())
    }
}

/// What wakes the consumer.
#[derive(Serialize, Deserialize)]
pub enum Wake {
    Look,
    Rung,
}

impl ractor::Message for Wake {}

impl Portable for Wake {
    const NAME: &'static str = "wake.1";
}

/// Has the name, and a supervisor.
struct Head;

impl Actor for Head {
    type Msg = Wake;
    type State = SupervisorRef;
    type Arguments = (Router, String);

    async fn pre_start(
        &self,
        myself: ActorRef<Wake>,
        (router, node): (Router, String),
    ) -> Result<SupervisorRef, ActorProcessingErr> {
        println!("{node} consumes");
        let consumer = ChildSpec::process("consumer", Mailbox::default(), move || (Consumer, router.clone()));
        let supervisor = Supervisor::new(Strategy::OneForOne).intensity(1_000, SECOND).child(consumer);
        Ok(supervisor.start_linked(myself.get_cell()).await?)
    }

    async fn handle(
        &self,
        _: ActorRef<Wake>,
        wake: Wake,
        supervisor: &mut SupervisorRef,
    ) -> Result<(), ActorProcessingErr> {
        let consumer: Process<Wake> =
            supervisor.child("consumer").await?.reference().ok_or("it takes this")?;
        Ok(consumer.cast(wake).await?)
    }

    async fn post_stop(
        &self,
        _: ActorRef<Wake>,
        supervisor: &mut SupervisorRef,
    ) -> Result<(), ActorProcessingErr> {
        supervisor.stop_and_wait().await;
        Ok(())
    }
}

struct Consumer;

impl Actor for Consumer {
    type Msg = Wake;
    type State = Router;
    type Arguments = Router;

    async fn pre_start(&self, myself: ActorRef<Wake>, router: Router) -> Result<Router, ActorProcessingErr> {
        Process::of(&myself).ok_or("it is a process")?.try_cast(Wake::Look)?;
        Ok(router)
    }

    async fn handle(
        &self,
        myself: ActorRef<Wake>,
        wake: Wake,
        router: &mut Router,
    ) -> Result<(), ActorProcessingErr> {
        match wake {
            Wake::Rung => {
                count(router, HEARD).await?;
            }
            Wake::Look => {
                // An entity that does not answer now is asked again.
                let worked = work(router).await.unwrap_or(false);
                let pause = if worked { Duration::ZERO } else { LOOK_EVERY };
                Process::of(&myself).ok_or("it is a process")?.send_after(pause, Wake::Look)?;
            }
        }
        Ok(())
    }
}

/// Whether there was something to do.
async fn work(router: &Router) -> Result<bool, CallError> {
    let queue = entity::<Queue>(router, QUEUE);
    let lease = queue::Command::Lease { count: 1, visibility_ms: Some(VISIBILITY_MS), consumer: None };
    let queue::Reply::Leased(leased) = queue.call(&lease).await? else { return Ok(false) };
    let Some(item) = leased.leased.first() else { return Ok(false) };
    let times = count(router, &format!("{WORKED}-{}", item.id)).await?;
    assert!(!item.id.is_multiple_of(BAD_LUCK) || times > 1, "item {} is bad luck", item.id);
    queue.call(&queue::Command::Ack { token: item.token }).await?;
    count(router, &format!("{ACKED}-{}", item.id)).await?;
    Ok(true)
}

async fn count(router: &Router, name: &str) -> Result<i64, CallError> {
    let counted = entity::<Counter>(router, name).call(&counter::Command::Add(1)).await?;
    Ok(counted.value)
}

fn entity<E: playhouse::entity::Entity>(router: &Router, name: &str) -> EntityRef<E> {
    EntityRef::new(router.clone(), Key::new(name).expect("these are keys"))
}
