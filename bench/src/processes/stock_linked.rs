//! Two nodes of plain `ractor_cluster`: one in this process, one in a child. There is one per process, because `ractor` keeps
//! its actors and groups process-wide.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, ExitCode},
    time::Duration,
};

use ractor::{ActorCell, ActorRef, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, client_connect};
use tokio::{runtime::Runtime, time::Instant};

use super::{
    PATIENCE, joined,
    obedient::{Obedient, end_with_parent, say},
    stock::{FarNote, FarSink, Started, start_one},
};
use crate::{
    child::{free_addresses, own_program},
    node::{environment, runtime},
};

/// The first argument of a child that is such a node.
pub const CHILD: &str = "--stock-process-child";
const COOKIE: &str = "a cookie of forty bytes for measurements";
/// Where the targets are found.
const GROUP: &str = "bench-sinks";
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Two linked nodes.
pub struct StockLinked {
    runtime: Runtime,
    server: Started<NodeServerMessage>,
    child: Obedient,
}

impl StockLinked {
    /// Returns when so many targets of the other node can be reached.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    #[must_use]
    pub fn start(targets: usize) -> (Self, Vec<ActorRef<FarNote>>) {
        let mut command = Command::new(own_program());
        let mut child = Obedient::start(command.arg(CHILD).arg(targets.to_string()));
        let address: SocketAddr = child.hear("where it listens").parse().expect("an address");
        let runtime = runtime();
        let server = runtime.block_on(serve("bench-own", 0));
        runtime.block_on(async { client_connect(&server.0, address).await.expect("it listens") });
        let linked = Self { runtime, server, child };
        let found = linked.find(targets);
        (linked, found.into_iter().map(ActorRef::from).collect())
    }

    fn find(&self, count: usize) -> Vec<ActorCell> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = pg::get_members(&GROUP.to_owned());
            let far: Vec<_> = members.into_iter().filter(|member| !member.get_id().is_local()).collect();
            if far.len() == count {
                return far;
            }
            assert!(Instant::now() < deadline, "two nodes meet in time: {} of {count}", far.len());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts a task where actors of this node run.
    pub fn start_task(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.handle().spawn(work));
    }

    /// The process of the other node.
    pub fn child(&mut self) -> &mut Obedient {
        &mut self.child
    }

    /// Runs one task per input at once, and returns what they return.
    ///
    /// # Panics
    ///
    /// When a task does.
    pub fn each<I, F>(&self, inputs: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Vec<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let tasks = inputs.into_iter().map(|input| self.runtime.handle().spawn(work(input))).collect();
        joined(&self.runtime, tasks)
    }

    /// Ends both. Returns when the mirrors of the other node are gone.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub fn stop(self) {
        let Self { runtime, server, child } = self;
        drop(child);
        runtime.block_on(async {
            server.0.stop(None);
            server.1.await.expect("the node server does not panic");
        });
        let deadline = Instant::now() + PATIENCE;
        while !pg::get_members(&GROUP.to_owned()).is_empty() {
            assert!(Instant::now() < deadline, "mirrors of a node that is gone end in time");
            std::thread::sleep(LOOK_EVERY);
        }
        runtime.shutdown_background();
    }
}

async fn serve(name: &str, port: u16) -> Started<NodeServerMessage> {
    let server =
        NodeServer::new(port, COOKIE.to_owned(), name.to_owned(), "localhost".to_owned(), None, None);
    start_one(server.with_listen_addr(Ipv4Addr::LOCALHOST.into())).await
}

/// Is the other node until the parent is gone. Prints its address.
///
/// # Panics
///
/// When it is not told how many targets to start.
#[must_use]
pub fn run_here(arguments: &[String]) -> ExitCode {
    let targets = arguments.first().and_then(|word| word.parse().ok()).expect("a number of targets");
    let (runtime, [address]) = (runtime(), free_addresses::<1>());
    end_with_parent(&environment(runtime.handle()));
    let _server = runtime.block_on(async {
        let mut cells = Vec::new();
        for _ in 0..targets {
            cells.push(start_one(FarSink).await.0.get_cell());
        }
        pg::join(GROUP.to_owned(), cells);
        serve("bench-other", address.port()).await
    });
    say(&address.to_string());
    runtime.block_on(std::future::pending())
}
