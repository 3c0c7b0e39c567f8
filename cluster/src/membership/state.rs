//! The configuration itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Former, Intent, Member, MemberState, Node, REPLICATION_FACTOR_MAX, Refusal, Replicas, SHARDS_MAX, Shard,
    Which, bootstrap::Rules,
};
use crate::{consensus::RaftId, identity::ClusterId};

/// Which track leads which shard. Nothing but "any" yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TrafficPolicy {
    /// Any member may lead any shard.
    #[default]
    Any,
}

/// With what a cluster begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// The names that begin it: it admits nobody else before a majority of them has joined.
    pub rules: Rules,
    /// Its id, drawn at random and accepted in the bootstrap.
    pub cluster_id: ClusterId,
    /// How many shards it has, for ever.
    pub shards: u32,
    /// How many voters each shard should have.
    pub replication_factor: u8,
}

/// The whole configuration of a cluster: who is a member, and where each shard is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    pub(super) revision: u64,
    /// The latest time that any command brought: it does not run back when the leader changes.
    pub(super) clock_ms: u64,
    pub(super) cluster_id: ClusterId,
    pub(super) replication_factor: u8,
    pub(super) members: BTreeMap<RaftId, Member>,
    /// Oldest first.
    pub(super) former: Vec<Former>,
    pub(super) system: Replicas,
    pub(super) map: Vec<Shard>,
    pub(super) policy: TrafficPolicy,
    pub(super) floors: BTreeMap<String, u32>,
    /// The names that begin the cluster, until enough of them have joined.
    pub(super) beginning: Option<Rules>,
}

impl ClusterState {
    /// A cluster of one: the founder is up and has the only replica of everything.
    ///
    /// # Errors
    ///
    /// When the founder does not describe itself properly, or a number is out of range.
    pub fn found(founding: Founding, founder: &Node, now_ms: u64) -> Result<Self, Refusal> {
        let Founding { rules, cluster_id, shards, replication_factor } = founding;
        if founder.name != rules.initiator() {
            return Err(Refusal::NotListedYet { name: founder.name.clone(), rules });
        }
        if shards != founder.shards {
            return Err(Refusal::OtherShards { cluster: shards, node: founder.shards });
        }
        in_range("the number of shards", u64::from(shards), u64::from(SHARDS_MAX))?;
        in_range("the replication factor", replication_factor.into(), REPLICATION_FACTOR_MAX.into())?;
        let mut member = founder.to_member(now_ms)?;
        member.enter(MemberState::Up, now_ms);
        let raft_id = member.raft_id;
        let shard = Shard { replicas: Replicas::founded(raft_id), preferred_leader: Some(raft_id) };
        let mut state = Self {
            revision: 1,
            clock_ms: now_ms,
            cluster_id,
            replication_factor,
            members: BTreeMap::from([(raft_id, member)]),
            former: Vec::new(),
            system: Replicas::founded(raft_id),
            map: vec![shard; shards as usize],
            policy: TrafficPolicy::Any,
            floors: BTreeMap::new(),
            beginning: Some(rules),
        };
        state.end_beginning();
        Ok(state)
    }

    /// Counts the changes.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When it last changed, by the clock of the leader that changed it.
    #[must_use]
    pub fn changed_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Which cluster this is.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u32 {
        u32::try_from(self.map.len()).expect("it is at most SHARDS_MAX")
    }

    /// How many voters each shard should have.
    #[must_use]
    pub fn replication_factor(&self) -> u8 {
        self.replication_factor
    }

    /// Everybody, those that left included.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<RaftId, Member> {
        &self.members
    }

    /// The member with this Raft id.
    #[must_use]
    pub fn member(&self, raft_id: RaftId) -> Option<&Member> {
        self.members.get(&raft_id)
    }

    /// The member with this name.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == name)
    }

    /// Raft ids that never come back, the oldest first.
    #[must_use]
    pub fn former(&self) -> &[Former] {
        &self.former
    }

    /// The voters of the system group. Every other member that has not left is its learner.
    #[must_use]
    pub fn system(&self) -> &Replicas {
        &self.system
    }

    /// Each shard, by number.
    #[must_use]
    pub fn map(&self) -> &[Shard] {
        &self.map
    }

    /// The voters of a group. None: there is no such shard.
    #[must_use]
    pub fn replicas(&self, which: Which) -> Option<&Replicas> {
        match which {
            Which::System => Some(&self.system),
            Which::Shard(shard) => self.map.get(shard as usize).map(|shard| &shard.replicas),
        }
    }

    /// Which track leads which shard.
    #[must_use]
    pub fn policy(&self) -> &TrafficPolicy {
        &self.policy
    }

    /// Per kind, the schema version that is written.
    #[must_use]
    pub fn floors(&self) -> &BTreeMap<String, u32> {
        &self.floors
    }

    /// How many voters a shard should have now: fewer than the replication factor while there are fewer members.
    /// Members that are down count: a voter that is down is better than a smaller majority.
    #[must_use]
    pub fn voters_wanted(&self) -> usize {
        usize::from(self.replication_factor).min(self.staying())
    }

    /// How many voters the system group should have now.
    #[must_use]
    pub fn system_voters_wanted(&self) -> usize {
        match self.staying() {
            few @ 0..3 => few,
            3..7 => 3,
            _ => 5,
        }
    }

    /// Whether fewer than a majority of the other listed names have joined yet. Until then another cluster may still be founded
    /// if the founder's volume is lost: nobody else is admitted, and nothing should be acknowledged to clients.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        self.beginning.is_some()
    }

    /// From here on no other cluster can be founded: enough volumes belong to this one.
    pub(super) fn end_beginning(&mut self) {
        let is_up = |name: &&String| self.member_named(name).is_some_and(|it| self.has_adopted(it.raft_id));
        let is_over = |rules: &Rules| rules.others().filter(is_up).count() > rules.others().count() / 2;
        let is_alone = |rules: &Rules| rules.others().next().is_none();
        if self.beginning.as_ref().is_some_and(|rules| is_alone(rules) || is_over(rules)) {
            self.beginning = None;
        }
    }

    /// Whether it is certain that the volume has adopted this cluster's id: nothing else can be founded from it.
    #[must_use]
    pub fn has_adopted(&self, raft_id: RaftId) -> bool {
        self.member(raft_id).is_some_and(|member| member.state == MemberState::Up)
    }

    /// Whether the voter is expected to answer.
    #[must_use]
    pub fn is_live(&self, raft_id: RaftId) -> bool {
        self.member(raft_id).is_some_and(Member::is_live)
    }

    /// Whether a majority of the voters is expected to answer.
    #[must_use]
    pub fn has_quorum<'a>(&self, voters: impl IntoIterator<Item = &'a RaftId>) -> bool {
        let (mut live, mut all) = (0, 0);
        for voter in voters {
            all += 1;
            live += usize::from(self.is_live(*voter));
        }
        live * 2 > all
    }

    /// Whether the node votes anywhere, or is to.
    #[must_use]
    pub fn holds_replicas(&self, raft_id: RaftId) -> bool {
        self.all_replicas().any(|replicas| replicas.involves(raft_id))
    }

    /// The system group, then each shard.
    pub fn all_replicas(&self) -> impl Iterator<Item = &Replicas> {
        std::iter::once(&self.system).chain(self.map.iter().map(|shard| &shard.replicas))
    }

    fn staying(&self) -> usize {
        self.members.values().filter(|member| member.stays()).count()
    }
}

impl Node {
    /// The member that it becomes.
    pub(super) fn to_member(&self, now_ms: u64) -> Result<Member, Refusal> {
        self.check()?;
        Ok(Member {
            name: self.name.clone(),
            raft_id: self.raft_id,
            incarnation: self.incarnation,
            zone: self.zone.clone(),
            track: self.track.clone(),
            release: self.release.clone(),
            protocol: self.protocol,
            state: MemberState::Joining,
            intent: Intent::Stay,
            since_ms: now_ms,
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        in_range("the name", self.name.len() as u64, super::NAME_BYTES_MAX as u64)?;
        in_range("the Raft id", self.raft_id.0, u64::MAX)?;
        for (what, text) in
            [("the zone", &self.zone), ("the track", &self.track), ("the release", &self.release)]
        {
            in_range(what, text.len() as u64 + 1, super::TEXT_BYTES_MAX as u64 + 1)?;
        }
        Ok(())
    }
}

/// Between one and `max`.
fn in_range(what: &str, value: u64, max: u64) -> Result<(), Refusal> {
    let is_good = (1..=max).contains(&value);
    is_good.then_some(()).ok_or_else(|| Refusal::Invalid { what: what.to_owned() })
}
