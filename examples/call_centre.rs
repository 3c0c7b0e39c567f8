//! A call centre on each node of a cluster: a program of processes that starts and stops with its node.
//!
//! ```text
//! cargo run --example call_centre -- dev                # three nodes, each with a call centre
//! playhouse processes                                   # (cargo run --bin playhouse -- processes): who is there
//! playhouse processes --names
//! playhouse processes --deepest
//! ```
//!
//! On each node a `desk`, which takes calls and gives them to its agents, and the agents in a `pool`. The desks of all nodes are in the group
//! `desks`, and each has a name in the whole cluster, `desk of NODE`. One node runs the `bell`, of which there is one in the cluster: it
//! makes the phones of all desks ring. An agent takes a while for a call; now and then a caller is rude, and the agent crashes.

use std::{collections::VecDeque, process::ExitCode, time::Duration};

use playhouse::{
    node::{ApplicationError, Handle, Node},
    process::{
        CastError, ChildSpec, Distribution, Mailbox, Policy, Portable, Process, SimpleOneForOne,
        SimpleOneForOneRef, Singleton, Strategy, Supervisor, SupervisorRef,
    },
};
use playhouse_cluster::environment::spawn_here;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};

const AGENTS: usize = 3;
/// How many callers may wait for one agent.
const WAITING_MAX: usize = 5;
const RING_EVERY: Duration = Duration::from_millis(300);
const CALL_TAKES: Duration = Duration::from_secs(1);
/// Of so many callers one is rude.
const RUDE_EVERY: u64 = 50;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
enum Call {
    /// Somebody calls.
    Ring(Caller),
    /// A new agent.
    Hello(Process<Caller>),
}

impl Message for Call {}

impl Portable for Call {
    const NAME: &'static str = "call-centre.1";
}

/// Who calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Caller(u64);

impl Message for Caller {}

impl Portable for Caller {
    const NAME: &'static str = "call-centre-caller.1";
}

/// Takes calls and gives them to agents.
struct Desk(Handle);

struct Switchboard {
    /// Who has waited longest for a caller is the first.
    agents: VecDeque<Process<Caller>>,
    /// This node takes part in keeping the bell as long as its desk is open.
    _bell: Singleton,
}

impl Switchboard {
    /// Gives a caller to an agent who has room. If none has, the caller hangs up.
    fn connect(&mut self, caller: Caller) {
        for _ in 0..self.agents.len() {
            let Some(agent) = self.agents.pop_front() else { return };
            match agent.try_cast(caller) {
                Err(CastError::Full) => self.agents.push_back(agent),
                Ok(()) => return self.agents.push_back(agent),
                // The agent crashed; who replaces it says hello.
                Err(_) => {}
            }
        }
    }
}

impl Actor for Desk {
    type Msg = Call;
    type State = Switchboard;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Call>, (): ()) -> Result<Switchboard, ActorProcessingErr> {
        let desk = Process::of(&myself).ok_or("a desk is a process")?;
        let distribution =
            self.0.distribution().ok_or("a call centre needs processes of other nodes")?.clone();
        let names = self.0.cluster_names().ok_or("a call centre has names in the cluster")?;
        distribution.names().register("desk", &desk)?;
        distribution.groups().join("desks", &desk)?;
        names.register(&format!("desk of {}", self.0.name()), &desk).await?;
        let bell = move || (Bell(distribution.clone()), ());
        let bell = names.singleton("bell", Mailbox::default(), bell)?;
        Ok(Switchboard { agents: VecDeque::new(), _bell: bell })
    }

    async fn handle(
        &self,
        _: ActorRef<Call>,
        call: Call,
        board: &mut Switchboard,
    ) -> Result<(), ActorProcessingErr> {
        match call {
            Call::Ring(caller) => board.connect(caller),
            Call::Hello(agent) => board.agents.push_back(agent),
        }
        Ok(())
    }
}

/// Talks to callers, one after the other; some more may hold the line.
struct Agent;

impl Actor for Agent {
    type Msg = Caller;
    type State = ();
    type Arguments = Process<Call>;

    async fn pre_start(
        &self,
        myself: ActorRef<Caller>,
        desk: Process<Call>,
    ) -> Result<(), ActorProcessingErr> {
        desk.cast(Call::Hello(Process::of(&myself).ok_or("an agent is a process")?)).await?;
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Caller>,
        caller: Caller,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        tokio::time::sleep(CALL_TAKES).await;
        assert!(!caller.0.is_multiple_of(RUDE_EVERY), "caller {} is rude", caller.0);
        Ok(())
    }
}

/// Makes the phones ring.
struct Bell(Distribution);

#[derive(Serialize, Deserialize)]
struct Again;

impl Message for Again {}

impl Portable for Again {
    const NAME: &'static str = "call-centre-bell.1";
}

impl Actor for Bell {
    type Msg = Again;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Again>, (): ()) -> Result<u64, ActorProcessingErr> {
        Process::of(&myself).ok_or("a bell is a process")?.send_after(RING_EVERY, Again)?;
        Ok(0)
    }

    async fn handle(
        &self,
        myself: ActorRef<Again>,
        Again: Again,
        rung: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        for desk in self.0.groups().members::<Call>("desks") {
            *rung += 1;
            // A desk whose mailbox is full misses the call.
            let _ = desk.try_cast(Call::Ring(Caller(*rung)));
        }
        Process::of(&myself).ok_or("a bell is a process")?.send_after(RING_EVERY, Again)?;
        Ok(())
    }
}

/// Agents that crash are replaced.
fn pool() -> SimpleOneForOne<Process<Call>> {
    let mailbox = Mailbox::new(Policy::Refuse).messages_max(WAITING_MAX);
    SimpleOneForOne::process(mailbox, |desk| (Agent, desk)).intensity(10, SECOND)
}

/// Starts the call centre of a node.
async fn open(node: Handle) -> Result<SupervisorRef, ApplicationError> {
    let centre = Supervisor::new(Strategy::RestForOne)
        .child(ChildSpec::process("desk", Mailbox::new(Policy::Refuse), move || (Desk(node.clone()), ())))
        .child(ChildSpec::supervisor("pool", pool))
        .start()
        .await?;
    let shift = begin_shift(&centre).await?;
    spawn_here(keep_open(centre.clone(), shift));
    Ok(centre)
}

/// A desk and the agents who take calls for it.
struct Shift {
    desk: Process<Call>,
    pool: SimpleOneForOneRef<Process<Call>>,
}

/// Gives the desk its agents. A pool that was started again is empty.
async fn begin_shift(centre: &SupervisorRef) -> Result<Shift, ApplicationError> {
    let desk: Process<Call> = centre.child("desk").await?.reference().ok_or("the desk takes calls")?;
    let pool: SimpleOneForOneRef<Process<Call>> =
        centre.child("pool").await?.reference().ok_or("the pool takes desks")?;
    for _ in pool.count_children().await?.workers..AGENTS {
        pool.start_child(desk.clone()).await?;
    }
    Ok(Shift { desk, pool })
}

/// Begins another shift when the desk or its pool was started again, until the call centre closes.
async fn keep_open(centre: SupervisorRef, mut shift: Shift) {
    loop {
        tokio::select! {
            biased;
            () = centre.wait() => return,
            _ = shift.desk.ended() => {}
            () = shift.pool.wait() => {}
        }
        // The centre may not have heard of it yet, or start them just now.
        tokio::time::sleep(RING_EVERY).await;
        match begin_shift(&centre).await {
            Ok(next) => shift = next,
            Err(error) => tracing::warn!(error, "the desk has no agents yet"),
        }
    }
}

fn main() -> ExitCode {
    Node::builder().application("call_centre", open).main()
}
