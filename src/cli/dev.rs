//! `playhouse dev`: a cluster on this machine to try things out, each node a process of its own; or one node, in this
//! process.
//!
//! ```text
//! .playhouse/cluster/            what `dev` made; deleted by --fresh, and by nothing else
//!     playhouse-dev.json         says so, and who formed the cluster
//!     cookie                     made once
//!     playhouse-0.toml           the settings of a node: `playhouse dev --nodes 1 --config …` starts it by hand
//!     playhouse-0/               its volume
//! ```
//!
//! This process holds one end of a pipe to each node and listens to what it logs. When it ends, however that comes, the
//! nodes see the end of the pipe and leave in order.

mod announcement;
mod child;
mod folder;
mod nodes;
mod plan;
mod ports;

use std::{num::NonZeroU8, path::PathBuf, time::Duration};

use clap::Args;
use playhouse_cluster::environment::Environment;

use super::{Exit, Failure, interrupts::Interrupts, node, output::Output};
use crate::{
    config::{Config, Origin, Profile, Resolved},
    node::Builder,
};
use folder::Folder;
use nodes::Nodes;

/// How many nodes fit on one machine.
const NODES_MAX: u8 = 15;
/// How long all nodes together may take until they are ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// What nodes may take to leave beyond their own budget.
const LEAVE_MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[group(skip)] // The arguments of a node are a group of the same name.
pub(super) struct Arguments {
    #[command(flatten)]
    node: node::Arguments,
    /// How many nodes, each a process of its own; 1: this process is the node
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "3",
        value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX))
    )]
    nodes: u8,
    /// First delete what an earlier `dev` left below .playhouse/
    #[arg(long)]
    fresh: bool,
    /// Leave when standard input ends
    #[arg(long, hide = true)]
    leave_with_parent: bool,
}

/// Runs the nodes until it is told to stop.
pub(super) fn run(arguments: Arguments, builder: Builder, output: &Output) -> Result<Exit, Failure> {
    let resolved = arguments.node.resolve(Profile::Dev)?;
    if arguments.nodes == 1 {
        if arguments.fresh {
            folder::delete_volume(&resolved.config.node.data_dir)?;
        }
        return node::launch(
            arguments.node,
            resolved.config,
            Profile::Dev,
            builder,
            arguments.leave_with_parent,
        );
    }
    let nodes = NonZeroU8::new(arguments.nodes).expect("the arguments allow no zero");
    let file = arguments.node.address_file().map(PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("could not start", &error))?;
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    let cluster = Cluster { resolved, nodes, fresh: arguments.fresh, file, environment, output };
    let outcome = runtime.block_on(cluster.run());
    runtime.shutdown_background();
    outcome
}

/// A cluster to be started.
struct Cluster<'a> {
    resolved: Resolved,
    nodes: NonZeroU8,
    fresh: bool,
    file: Option<PathBuf>,
    environment: Environment,
    output: &'a Output,
}

impl Cluster<'_> {
    async fn run(self) -> Result<Exit, Failure> {
        let mut interrupts = Interrupts::new()?;
        let names: Vec<_> = (0..self.nodes.get()).map(|number| format!("playhouse-{number}")).collect();
        let folder = Folder::open(&self.folder(), &names, self.fresh, &self.environment)?;
        self.mention_others(&folder);
        let (ports, reserved) = ports::choose(self.wanted_ports(), names.len())
            .map_err(|error| Failure::failed("there are no free ports", &error))?;
        let plans = plan::plans(&self.resolved, &folder, names, &ports)?;
        let mut nodes = Nodes::start(plans, &self.environment, self.output)?;
        let ready = tokio::select! {
            biased;
            () = interrupts.next() => {
                self.leave(nodes, &mut interrupts).await;
                return Ok(Exit::Ok);
            }
            ready = tokio::time::timeout(READY_WITHIN, nodes.ready()) => ready,
        };
        // They listen, or will not.
        drop(reserved);
        let announced = ready
            .map_err(|_| late())
            .flatten()
            .and_then(|()| announcement::announce(&nodes, &folder, self.file.as_deref(), self.output));
        if let Err(failure) = announced {
            self.leave(nodes, &mut interrupts).await;
            return Err(failure);
        }
        let is_interrupted = tokio::select! {
            biased;
            () = interrupts.next() => true,
            () = nodes.all_ended(self.output) => false,
        };
        if !is_interrupted {
            return Err(Failure::new(Exit::Failed, "every node has ended").state(KEPT));
        }
        Ok(self.leave(nodes, &mut interrupts).await)
    }

    /// Nodes of an earlier start that had more of them: the cluster still counts on them, unless they have left.
    fn mention_others(&self, folder: &Folder) {
        let others = (self.nodes.get()..NODES_MAX).map(|number| format!("playhouse-{number}"));
        let others: Vec<_> = others.filter(|name| folder.file(name).is_dir()).collect();
        if !others.is_empty() {
            let names = others.join(", ");
            self.output
                .note(&format!("not started, but their volumes are here: {names}; --nodes starts more"));
        }
    }

    /// `--data-dir` names the folder of the cluster, not of a node.
    fn folder(&self) -> PathBuf {
        let is_given = |key| !matches!(self.origin(key), Origin::Default | Origin::Profile);
        if is_given("node.data_dir") {
            self.config().node.data_dir.clone()
        } else {
            PathBuf::from(".playhouse/cluster")
        }
    }

    fn wanted_ports(&self) -> [ports::Wanted; 3] {
        let config = self.config();
        let wanted = |key, address| ports::Wanted {
            address,
            is_required: !matches!(self.origin(key), Origin::Default | Origin::Profile),
        };
        [
            wanted("gateway.listen", config.gateway.listen),
            wanted("ops.listen", config.ops.listen),
            wanted("peer.listen", config.peer.listen),
        ]
    }

    fn origin(&self, key: &str) -> Origin {
        let setting = self.resolved.settings.iter().find(|setting| setting.key == key);
        setting.expect("it is one of the keys").origin.clone()
    }

    fn config(&self) -> &Config {
        &self.resolved.config
    }

    async fn leave(&self, mut nodes: Nodes, interrupts: &mut Interrupts) -> Exit {
        nodes.ask_to_leave();
        let budget = self.config().drain.budget + LEAVE_MARGIN;
        tokio::select! {
            biased;
            () = interrupts.next() => {
                nodes.kill().await;
                self.output.note("stopped at once; requests under way got no answer");
                Exit::Interrupted
            }
            left = tokio::time::timeout(budget, nodes.left()) => {
                if left.is_err() {
                    self.output.note("the drain budget is over; stopping what still runs");
                    nodes.kill().await;
                }
                Exit::Ok
            }
        }
    }
}

/// What remains when nodes end.
const KEPT: &str = "what was acknowledged is on the volumes";

fn late() -> Failure {
    let seconds = READY_WITHIN.as_secs();
    let what = format!("the nodes were not ready within {seconds} s; what they logged is above");
    Failure::new(Exit::Failed, what).state("the nodes were stopped; what was acknowledged is on the volumes")
}
