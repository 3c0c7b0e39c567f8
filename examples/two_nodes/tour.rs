//! What runs on each node, and the tour that one of them makes.

#![allow(clippy::print_stderr)] // It talks to a person; `dev` shows what nodes say there.

use std::time::Duration;

use playhouse::{
    node::{ApplicationError, Handle},
    process::{
        self, CallError, ChildSpec, ClusterNames, Distribution, Down, ExitReason, Mailbox, NameError,
        Portable, Process, Reply, Restart, Strategy, Supervisor, SupervisorRef,
    },
};
use playhouse_cluster::consensus::RaftId;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// The group of those that each node offers, the kind that others may start, and the name of the one who makes the tour.
const GREETERS: &str = "greeters";
const GREETER: &str = "greeter";
const GUIDE: &str = "guide";
const SECOND: Duration = Duration::from_secs(1);

/// Greets, on whichever node it lives.
struct Greeter {
    node: String,
}

#[derive(Serialize, Deserialize)]
enum Greeting {
    Hello(String, Reply<String>),
    /// Greets somebody else, and passes on where the answer goes.
    HelloBy(Process<Greeting>, Reply<String>),
    Crash(String),
    Stop,
}

impl Message for Greeting {}

impl Portable for Greeting {
    const NAME: &'static str = "greeting.1";
}

impl Actor for Greeter {
    type Msg = Greeting;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Greeting>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Greeting>,
        greeting: Greeting,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match greeting {
            Greeting::Hello(who, reply) => {
                reply.send(format!("hello {who}, from {}", self.node));
            }
            Greeting::HelloBy(other, reply) => {
                other.cast(Greeting::Hello(format!("friend of {}", self.node), reply)).await?;
            }
            Greeting::Crash(why) => return Err(why.into()),
            Greeting::Stop => return Err(ExitReason::Shutdown.into()),
        }
        Ok(())
    }
}

/// Starts what runs on each node.
pub async fn open(node: Handle) -> Result<SupervisorRef, ApplicationError> {
    let distribution = node.distribution().ok_or("start it with processes.remote on")?.clone();
    let names = node.cluster_names().ok_or("a node with a distribution has names")?.clone();
    let name = node.name().to_owned();

    let greeter = ChildSpec::process(GREETER, Mailbox::default(), {
        let name = name.clone();
        move || (Greeter { node: name.clone() }, ())
    });
    let supervisor = Supervisor::new(Strategy::OneForOne).child(greeter).start().await?;
    let greeter: Process<Greeting> =
        supervisor.child(GREETER).await?.reference().ok_or("it takes greetings")?;
    distribution.groups().join(GREETERS, &greeter)?;
    distribution.spawnable(GREETER, Mailbox::default(), move |node: String| (Greeter { node }, ()));

    match names.register(GUIDE, &greeter).await {
        Ok(()) => {
            let tour = Tour { name, distribution, names, guide: greeter };
            let tour = ChildSpec::process("tour", Mailbox::default(), move || (tour.clone(), ()));
            supervisor.start_child(tour.restart(Restart::Temporary)).await?;
        }
        Err(NameError::Taken(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(supervisor)
}

/// Makes the tour once, and ends.
#[derive(Clone)]
struct Tour {
    name: String,
    distribution: Distribution,
    names: ClusterNames,
    guide: Process<Greeting>,
}

struct Begin;

impl Message for Begin {}

impl Actor for Tour {
    type Msg = Begin;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Begin>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(Process::of(&myself).ok_or("it is a process")?.try_cast(Begin)?)
    }

    async fn handle(&self, _: ActorRef<Begin>, Begin: Begin, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let Self { name, distribution, names, guide } = self;
        tour(name, distribution, names, guide).await?;
        Err(ExitReason::Normal.into())
    }
}

async fn tour(
    name: &str,
    distribution: &Distribution,
    names: &ClusterNames,
    guide: &Process<Greeting>,
) -> Result<(), ActorProcessingErr> {
    let say = |text: String| eprintln!("{name} tours: {text}");
    let (node, other) = meet(distribution, guide).await?;
    say(format!("{} greeters in the group", distribution.groups().members::<Greeting>(GREETERS).len()));

    let answer = other.call(|reply| Greeting::Hello(name.to_owned(), reply), 5 * SECOND).await?;
    say(format!("a greeter of the group says: {answer}"));
    let answer = other.call(|reply| Greeting::HelloBy(guide.clone(), reply), 5 * SECOND).await?;
    say(format!("and back, through it: {answer}"));

    let whom: Process<Greeting> = names.whereis(GUIDE).await?.ok_or("it was registered")?;
    say(format!("{GUIDE} is {}", if whom == *guide { "this node's greeter" } else { "somebody else" }));
    let taken = names.register(GUIDE, guide).await;
    say(format!(
        "twice: {}",
        if matches!(taken, Err(NameError::Taken(_))) { "the name is taken" } else { "?" }
    ));

    for end in [Greeting::Crash("out of breath".to_owned()), Greeting::Stop] {
        let guest = format!("a guest of {name}");
        let spawned: Process<Greeting> = distribution.spawn_on(node, GREETER, &guest, 5 * SECOND).await?;
        let answer = spawned.call(|reply| Greeting::Hello(name.to_owned(), reply), 5 * SECOND).await?;
        let (ends, mut end_heard) = mpsc::channel(1);
        let watcher = process::spawn(Watcher, ends, Mailbox::default()).await?;
        watcher.monitor(&spawned, Watched)?;
        spawned.cast(end).await?;
        let reason = end_heard.recv().await.ok_or("the watcher lives")?;
        say(format!("started on the other node: {answer}; its monitor says: {reason}"));
        let gone = spawned.call(|reply| Greeting::Hello(name.to_owned(), reply), 5 * SECOND).await;
        assert_eq!(gone, Err(CallError::NoProc));
    }
    say("done".to_owned());
    Ok(())
}

/// Waits for a greeter of another node; which node that is, too.
async fn meet(
    distribution: &Distribution,
    guide: &Process<Greeting>,
) -> Result<(RaftId, Process<Greeting>), ActorProcessingErr> {
    let mut peers = distribution.peers();
    loop {
        let members = distribution.groups().members::<Greeting>(GREETERS);
        let other = members.into_iter().find(|member| member != guide);
        if let Some((home, other)) = other.and_then(|other| Some((other.id().home()?, other))) {
            return Ok((home.node, other));
        }
        // A greeter may join a moment after its node is there.
        let looked = tokio::time::timeout(SECOND / 10, peers.changed()).await;
        if let Ok(changed) = looked {
            changed?;
        }
    }
}

/// Hears of an end, and passes it on.
struct Watcher;

struct Watched(Down);

impl Message for Watched {}

impl Actor for Watcher {
    type Msg = Watched;
    type State = mpsc::Sender<ExitReason>;
    type Arguments = mpsc::Sender<ExitReason>;

    async fn pre_start(
        &self,
        _: ActorRef<Watched>,
        ends: mpsc::Sender<ExitReason>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(ends)
    }

    async fn handle(
        &self,
        _: ActorRef<Watched>,
        Watched(down): Watched,
        ends: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        ends.send(down.reason).await?;
        Err(ExitReason::Normal.into())
    }
}
