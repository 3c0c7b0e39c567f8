//! Which node holds which replica, which one leads, and what moves next. Pure.
//!
//! Comes in: a [`ClusterState`] and the time. Leaves: an [`Outlook`] with the next [`Plan`], bounded in
//! number, to be decided as [`Command::Plan`](crate::membership::Command::Plan), and what it cannot help.
//!
//! Every call computes where everything should be, from where it is now:
//!
//! 1. **Keep** each replica whose member stays; what was on a lost volume goes to the volume that has its name now.
//! 2. **Fill** up to the wanted number of voters: in a zone of its own, the least loaded member first, and among
//!    equals by rendezvous hashing.
//! 3. **Spread** over zones where somebody is now crowded.
//! 4. **Even out**: replicas move along the shortest paths from members with more to members with fewer by two.
//!
//! *Balance.* Step 4 ends when no path from any member to one with two fewer replicas is left. The loads are those of a
//! flow from shards through their zones to members, and without such a path no other placement that respects the zones
//! has a smaller sum of squares: **all available members are within one of each other whenever the zones allow it**,
//! and without zones always. [`preferred_leaders`] argues in the same way, with the voters as the only choice.
//!
//! *Movement.* Only a hole, a crowded zone or a difference of two moves anything: a join moves what the new member is to
//! get, a leave moves what the member had, a restart moves nothing.
//!
//! *Safety.* One replica per shard and step; none in a group without a live majority before and after; evening out
//! waits until all voters of the shard are up.

mod leaders;
mod pool;
mod steps;
mod table;
mod target;

use std::collections::BTreeSet;

use crate::{
    consensus::RaftId,
    membership::{ClusterState, Plan, TrafficPolicy, Which},
};

pub use leaders::{Choice, Tracks, preferred_leaders};

use self::{pool::Pool, steps::Steps, table::Group};

/// How fast replicas move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Moves of shards under way at the same time. Each one copies a whole shard.
    pub moves_max: usize,
    /// How long a member may be down until its replicas are replaced. Keep this well above the time of a restart with
    /// everything that may delay it, or each update copies the whole node.
    pub down_replaced_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { moves_max: 8, down_replaced_after_ms: 10 * 60 * 1000 }
    }
}

/// A group that should change and cannot.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stuck {
    /// Which group.
    pub which: Which,
    /// Why.
    pub why: Obstacle,
}

/// Why a group cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub enum Obstacle {
    /// Without a live majority nothing can be changed safely: bring its voters back. If they are lost for good, the
    /// offline command for a lost quorum says what is given up.
    NoQuorum,
    /// A replica should go, and no member that is up can take it: add a node, or wait for one.
    NoMember,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What to decide next.
    pub plan: Plan,
    /// What waits for somebody else.
    pub stuck: Vec<Stuck>,
    /// Replicas that are not where they should be, those of `plan` and of the moves under way included.
    pub remaining: usize,
}

/// The next step from here.
///
/// ```
/// use playhouse_cluster::{consensus::RaftId, identity::{ClusterId, Incarnation}, placement};
/// use playhouse_cluster::membership::{ClusterState, Founding, Node, Volume, bootstrap::Rules};
///
/// let founder = Node {
///     name: "playhouse-0".into(), raft_id: RaftId(7), incarnation: Incarnation(1), previous: Incarnation(0),
///     volume: Volume::New, shards: 128, zone: "a".into(), track: String::new(), release: "1".into(), protocol: (1, 1),
/// };
/// let rules = Rules::new("playhouse-0".into(), ["playhouse-0".into()].into()).unwrap();
/// let founding = Founding { rules, cluster_id: ClusterId(1), shards: 128, replication_factor: 3 };
/// let state = ClusterState::found(founding, &founder, 0).unwrap();
///
/// let outlook = placement::outlook(&state, &placement::Config::default(), 0);
/// assert!(outlook.plan.is_empty() && outlook.remaining == 0); // One member, one voter: as good as it gets.
/// ```
#[must_use]
pub fn outlook(state: &ClusterState, config: &Config, now_ms: u64) -> Outlook {
    let pool = Pool::of(state, config, now_ms);
    let mut steps = Steps::new(state, &pool, config);
    let system = [group(state, Which::System)];
    steps.towards(&system, &target::of(&pool, &system, state.system_voters_wanted()));
    let shards: Vec<_> = (0..state.shards()).map(|shard| group(state, Which::Shard(shard))).collect();
    steps.towards(&shards, &target::of(&pool, &shards, state.voters_wanted()));
    let mut outlook = steps.into_outlook();
    outlook.plan.leaders = leaders::changes(state, &tracks(state.policy()));
    outlook
}

/// Where the voters of each shard should be in the end, by shard.
#[must_use]
pub fn wanted_map(state: &ClusterState, config: &Config, now_ms: u64) -> Vec<BTreeSet<RaftId>> {
    let pool = Pool::of(state, config, now_ms);
    let shards: Vec<_> = (0..state.shards()).map(|shard| group(state, Which::Shard(shard))).collect();
    target::of(&pool, &shards, state.voters_wanted())
}

fn group(state: &ClusterState, which: Which) -> Group<'_> {
    let replicas = state.replicas(which).expect("the group exists");
    let is_abandoned = steps::is_abandoned(state, replicas);
    let is_moving = replicas.wanted.is_some() && !is_abandoned;
    let voters = if is_moving { replicas.planned() } else { &replicas.voters };
    Group { which, voters, is_moving, is_abandoned }
}

fn tracks(policy: &TrafficPolicy) -> Tracks {
    match policy {
        TrafficPolicy::Any => Tracks::Any,
    }
}

#[cfg(test)]
mod tests;
