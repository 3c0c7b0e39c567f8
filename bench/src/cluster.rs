//! Several nodes: processes of this program that do what `playhouse run` does, and perhaps one node in this process.

mod layout;
mod node_child;

use std::{collections::BTreeSet, num::NonZeroU16, process::ExitCode, time::Duration};

use playhouse::{
    config::{Profile, Sources, resolve},
    node::{Builder, Launch, Node, launch},
    protocol::{EntityId, ShardId},
    router::Router,
};
use playhouse_cluster::consensus::RaftId;
use tokio::time::Instant;

pub use layout::Plan;
pub use node_child::NodeChild;

use self::layout::Layout;
use crate::{
    Effort,
    node::{TestNode, small_runtime},
    ops::Shard,
    parcel::Parcel,
    sink::Sink,
};

/// The first argument of a child process that is a node.
pub const CHILD: &str = "--node-child";
/// How long a cluster may take to be ready.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Each shard gets its replicas one after the other, a few shards at a time.
const PATIENCE_PER_SHARD: Duration = Duration::from_millis(500);
/// Leaderships that did not move for so long are where they should be.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The same where nodes are asked, who have to ask each other, and for each shard that they tell of.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_PER_SHARD: Duration = Duration::from_micros(500);

/// Who leads a shard: `None` while nobody is known, `Some(None)` for the node in this process.
type Leader = Option<Option<RaftId>>;

/// Several nodes of one cluster.
pub struct Cluster {
    /// The first one, if it is in this process.
    own: Option<TestNode>,
    /// The others.
    pub children: Vec<NodeChild>,
    /// How long it took to form.
    pub formed: Formed,
    plan: Plan,
    // Last: nodes end before their volumes.
    _layout: Layout,
}

/// How long a cluster took to form, from the start of its processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Formed {
    /// Until the last node said that it is ready.
    pub ready: Duration,
    /// Until each shard had all its replicas. Zero, as what follows, if nobody waited for it.
    pub replicated: Duration,
    /// Until each shard had the leader that it kept.
    pub settled: Duration,
}

impl Cluster {
    /// The first node in this process, all others in their own. Returns when each shard has the leader it should have.
    ///
    /// # Panics
    ///
    /// When a node does not start.
    #[must_use]
    pub fn with_own(plan: Plan) -> Self {
        Self::with_own_after(plan, SETTLED_AFTER)
    }

    /// As [`with_own`](Self::with_own), if leaderships count as settled that did not move for `settled_after`.
    ///
    /// # Panics
    ///
    /// When a node does not start.
    #[must_use]
    pub fn with_own_after(plan: Plan, settled_after: Duration) -> Self {
        let layout = Layout::new(plan, &[]);
        let started = Instant::now();
        let mut children: Vec<_> = (1..plan.nodes).map(|at| NodeChild::start(&layout, at)).collect();
        let own = TestNode::join(&layout.flags(0));
        children.iter_mut().for_each(NodeChild::wait_until_ready);
        let formed = Formed { ready: started.elapsed(), ..Formed::default() };
        Self { own: Some(own), children, formed, plan, _layout: layout }.formed(started, settled_after)
    }

    /// Waits until each shard has all its replicas and the leader that it keeps.
    fn formed(mut self, started: Instant, settled_after: Duration) -> Self {
        self.wait_until_replicated();
        self.formed.replicated = started.elapsed();
        self.formed.settled = self.settled_at(settled_after) - started;
        self
    }

    /// All nodes in their own processes. Returns when each shard has the leader it should have.
    ///
    /// # Panics
    ///
    /// When a node does not start.
    #[must_use]
    pub fn apart(plan: Plan) -> Self {
        Self::apart_with(plan, &[])
    }

    /// As [`apart`](Self::apart), with more settings, as `playhouse run --set` takes them.
    ///
    /// # Panics
    ///
    /// When a node does not start.
    #[must_use]
    pub fn apart_with(plan: Plan, more: &[String]) -> Self {
        let started = Instant::now();
        Self::apart_and_ready(plan, more).formed(started, SETTLED_AFTER)
    }

    /// As [`apart`](Self::apart), but leaderships may still move.
    ///
    /// # Panics
    ///
    /// When a node does not start.
    #[must_use]
    pub fn apart_and_ready(plan: Plan, more: &[String]) -> Self {
        let layout = Layout::new(plan, more);
        let started = Instant::now();
        let mut children: Vec<_> = (0..plan.nodes).map(|at| NodeChild::start(&layout, at)).collect();
        children.iter_mut().for_each(NodeChild::wait_until_ready);
        let formed = Formed { ready: started.elapsed(), ..Formed::default() };
        Self { own: None, children, formed, plan, _layout: layout }
    }

    /// The node in this process.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn own(&self) -> &TestNode {
        self.own.as_ref().expect("this cluster has a node in this process")
    }

    fn router(&self) -> &Router {
        self.own().router()
    }

    /// Who leads the shard of an entity: `None` while nobody is known, `Some(None)` for the node in this process.
    #[must_use]
    pub fn leader(&self, id: &EntityId) -> Option<Option<RaftId>> {
        self.router().leader(id.shard(self.plan.shards))
    }

    /// Keys of `kind` that a child leads.
    #[must_use]
    pub fn keys_led_by(&self, kind: &str, leader: RaftId, count: usize) -> Vec<String> {
        let is_led = |key: &String| {
            let id = EntityId::new(kind, key).expect("the bench chooses allowed names");
            self.leader(&id) == Some(Some(leader))
        };
        (0..).map(crate::rows::key).filter(is_led).take(count).collect()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + PATIENCE.max(PATIENCE_PER_SHARD * self.plan.shards.get().into())
    }

    /// What nodes tell must not be what takes the time.
    fn ask_every(&self) -> Duration {
        ASK_EVERY.max(ASK_PER_SHARD * self.plan.shards.get().into())
    }

    /// Waits until each shard has all its replicas: while a cluster forms, they come a few at a time.
    fn wait_until_replicated(&self) {
        let deadline = self.deadline();
        while !self.is_replicated() {
            assert!(Instant::now() < deadline, "all shards get their replicas in time");
            std::thread::sleep(self.ask_every());
        }
    }

    /// As the node in this process knows it, or else the first of the others.
    fn is_replicated(&self) -> bool {
        let voters = usize::from(self.plan.replication_factor).min(self.plan.nodes);
        match &self.own {
            Some(own) => own.is_replicated(),
            None => self.asked().is_some_and(|shards| shards.iter().all(|shard| shard.is_whole(voters))),
        }
    }

    /// What the first of the others says of all shards; `None` while it cannot.
    fn asked(&self) -> Option<Vec<Shard>> {
        let shards = small_runtime().block_on(self.children[0].ops().shards())?;
        (shards.len() == usize::from(self.plan.shards.get())).then_some(shards)
    }

    /// Who leads each shard, and how long to wait until that is looked at again.
    fn leaders(&self) -> (Vec<Leader>, Duration) {
        let numbers = 0..self.plan.shards.get();
        if self.own.is_some() {
            return (numbers.map(|number| self.router().leader(ShardId(number))).collect(), LOOK_EVERY);
        }
        let named = |name: String| self.children.iter().find(|child| child.name() == name);
        let leader = |shard: Shard| Some(Some(named(shard.leader?)?.raft_id()));
        let shards = self.asked().map(|shards| shards.into_iter().map(leader).collect());
        (shards.unwrap_or_else(|| numbers.map(|_| None).collect()), self.ask_every())
    }

    /// Waits until each shard has a leader and none has moved for a while, and no node leads nothing that could lead some.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub fn wait_until_settled(&self) {
        self.settled_at(SETTLED_AFTER);
    }

    /// As [`wait_until_settled`](Self::wait_until_settled), for so long. Returns when the last of them had moved.
    fn settled_at(&self, settled_after: Duration) -> Instant {
        let deadline = self.deadline();
        let (mut before, mut since, mut look_again) = (Vec::new(), Instant::now(), LOOK_EVERY);
        if self.plan.nodes == 1 {
            // It is ready when it leads all, so nothing moves; but it takes more of a core than later at first.
            std::thread::sleep(settled_after);
            return since;
        }
        while since.elapsed() < settled_after {
            assert!(Instant::now() < deadline, "leaderships find their places in time: {before:?}");
            std::thread::sleep(look_again);
            let now;
            (now, look_again) = self.leaders();
            if now != before || !are_shared(&now, self.plan.nodes) {
                (before, since) = (now, Instant::now());
            }
        }
        since
    }

    /// The addresses for clients.
    #[must_use]
    pub fn gateways(&self) -> Vec<String> {
        self.children.iter().map(NodeChild::gateway).collect()
    }

    /// Ends all nodes, the others as a loss of power would: for a cluster that nobody needs any more.
    pub fn kill(mut self) {
        self.children.iter_mut().for_each(NodeChild::kill);
        if let Some(own) = self.own {
            own.abandon();
        }
    }

    /// Ends all nodes.
    pub fn stop(self) {
        self.children.iter().for_each(NodeChild::terminate);
        if let Some(own) = self.own {
            own.stop();
        }
    }
}

/// Whether each shard has a leader, and as many nodes lead some as can.
fn are_shared(leaders: &[Leader], nodes: usize) -> bool {
    let leading: BTreeSet<_> = leaders.iter().flatten().collect();
    !leaders.contains(&None) && leading.len() == nodes.min(leaders.len())
}

/// Is a node in this process until told to leave, or until the parent is gone.
#[must_use]
#[allow(clippy::print_stderr)] // It goes to the log of the child.
pub fn run_here(flags: &[String]) -> ExitCode {
    let [address_file, flags @ ..] = flags else { return ExitCode::FAILURE };
    let flags =
        flags.iter().filter_map(|flag| flag.split_once('=')).map(|(key, value)| (key.into(), value.into()));
    let config = match resolve(&Sources::default().with_flags(flags)) {
        Ok(resolved) => resolved.config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    let address_file = Some(address_file.into());
    let told = Launch { config, profile: Profile::Run, node: kinds(), address_file, leave_with_parent: true };
    match launch(told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The kinds of each node of the bench.
#[must_use]
pub fn kinds() -> Builder {
    Node::builder().kind::<Sink>().kind::<Parcel>()
}

/// How many shards a cluster of the bench has: as `playhouse run` unless told otherwise.
#[must_use]
pub fn shards(effort: Effort) -> NonZeroU16 {
    NonZeroU16::new(if effort.is_quick { 16 } else { 128 }).expect("it is not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaderships_are_shared_when_each_node_that_can_leads_some() {
        let [own, one, other] = [None, Some(RaftId(1)), Some(RaftId(2))].map(Some);
        assert!(are_shared(&[own, one, other, one], 3));
        assert!(!are_shared(&[own, one, one, one], 3), "one leads nothing");
        assert!(!are_shared(&[own, one, other, None], 3), "one has no leader");
        assert!(are_shared(&[one], 3), "one shard has one leader");
    }
}
