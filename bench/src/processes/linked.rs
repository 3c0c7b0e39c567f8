//! Two nodes whose processes reach each other: one in this process, one in a child. They have a link and nothing else: no shards.

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode},
    sync::Arc,
};

use playhouse::process::{
    Distribution, Home, Mailbox, Portable, Process, distribution, distribution::SpawnOnError,
};
use playhouse_cluster::{
    consensus::RaftId,
    environment::Environment,
    identity::Incarnation,
    peering::{self, Cookie, CookieSource, Cookies, Encryption, Local, Peering, StaticList},
};
use tokio::runtime::Runtime;

use super::{
    PATIENCE, joined,
    obedient::{Obedient, end_with_parent, say},
    ours::{Note, Sink, roomy},
};
use crate::{child::own_program, node::runtime};

/// The first argument of a child that is such a node.
pub const CHILD: &str = "--process-child";
const OWN: RaftId = RaftId(1);
const OTHER: RaftId = RaftId(2);
/// The kind of process that a node starts for another.
const SINK: &str = "sink";
const ENCRYPTED: &str = "encrypted";
const PLAIN: &str = "plain";

/// Two linked nodes.
pub struct Linked {
    node: Node,
    child: Obedient,
}

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        let cookie = Cookie::derive(b"a cookie of forty bytes for measurements");
        Cookies { first: cookie.expect("it is long enough"), second: None }
    }
}

/// What a node is without its shards.
struct Node {
    core: Runtime,
    executors: Runtime,
    environment: Environment,
    distribution: Distribution,
    peering: Peering,
}

impl Node {
    fn start(id: RaftId, encryption: Encryption, seeds: Vec<String>) -> Self {
        let (core, executors) = (runtime(), runtime());
        let environment = Environment::real(core.handle().clone(), executors.handle().clone());
        let local = Local {
            name: format!("node-{}", id.0),
            raft_id: id,
            incarnation: Incarnation(1),
            release: "bench".to_owned(),
            zone: String::new(),
            track: "stable".to_owned(),
            shards: 1,
        };
        let home = Home { node: id, incarnation: local.incarnation };
        let distribution = Distribution::new(home, distribution::Config::default(), environment.clone());
        let config = peering::Config {
            listen: "127.0.0.1:0".to_owned(),
            mail: true,
            encryption,
            ..Default::default()
        };
        let frames = Arc::new(distribution.clone());
        let discovery = Arc::new(StaticList::new(seeds));
        let services = BTreeMap::new();
        let peering = Peering::start(
            config,
            local,
            None,
            Arc::new(OneCookie),
            discovery,
            services,
            frames,
            environment.clone(),
        );
        let peering = core.block_on(peering).expect("the link starts");
        Self { core, executors, environment, distribution, peering }
    }
}

impl Linked {
    /// Returns when each can reach the processes of the other.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    #[must_use]
    pub fn start(is_encrypted: bool) -> Self {
        let mut command = Command::new(own_program());
        command.arg(CHILD).arg(if is_encrypted { ENCRYPTED } else { PLAIN });
        let mut child = Obedient::start(&mut command);
        let address = child.hear("where it listens");
        let node = Node::start(OWN, encryption(is_encrypted), vec![address]);
        let mut peers = node.distribution.peers();
        let reached =
            async { tokio::time::timeout(PATIENCE, peers.wait_for(|peers| !peers.is_empty())).await.is_ok() };
        assert!(node.core.block_on(reached), "two nodes meet in time");
        Self { node, child }
    }

    /// Processes of the other node that count what arrives.
    ///
    /// # Panics
    ///
    /// When they do not start.
    #[must_use]
    pub fn targets(&self, count: usize) -> Vec<Process<Note>> {
        self.node.core.block_on(async {
            let mut targets = Vec::with_capacity(count);
            for _ in 0..count {
                targets.push(self.spawn::<Note>().await.expect("it starts"));
            }
            targets
        })
    }

    async fn spawn<M: Portable>(&self) -> Result<Process<M>, SpawnOnError> {
        self.node.distribution.spawn_on(OTHER, SINK, &(), PATIENCE).await
    }

    /// The process of the other node.
    pub fn child(&mut self) -> &mut Obedient {
        &mut self.child
    }

    /// Runs one task per input at once, where processes of this node run, and returns what they return.
    ///
    /// # Panics
    ///
    /// When a task does.
    pub fn each<I, F>(&self, inputs: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Vec<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let tasks =
            inputs.into_iter().map(|input| self.node.environment.spawn_executor(work(input))).collect();
        joined(&self.node.core, tasks)
    }

    /// Ends both.
    pub fn stop(self) {
        let Self { node, child } = self;
        node.core.block_on(node.peering.stop());
        drop(child);
        node.executors.shutdown_background();
        node.core.shutdown_background();
    }
}

fn encryption(is_on: bool) -> Encryption {
    if is_on { Encryption::On } else { Encryption::Off }
}

/// Is the other node until the parent is gone. Prints its address.
#[must_use]
pub fn run_here(arguments: &[String]) -> ExitCode {
    let is_encrypted = arguments.first().is_some_and(|word| word == ENCRYPTED);
    let node = Node::start(OTHER, encryption(is_encrypted), Vec::new());
    let mailbox: Mailbox<Note> = roomy();
    node.distribution.spawnable(SINK, mailbox, |()| (Sink, ()));
    end_with_parent(&node.environment);
    say(node.peering.address());
    node.core.block_on(std::future::pending())
}
